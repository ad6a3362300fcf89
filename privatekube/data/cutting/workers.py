"""Do the parts of a job in this process and in others, in order and with few of them under way."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from privatekube import errors

J = TypeVar("J")
T = TypeVar("T")
R = TypeVar("R")

_job: Any = None
"""The job of this worker."""


class Workers(Generic[J]):
    """Processes that share a job: this one, which has nothing to start, and others that start when they are needed.

    Args:
        job: what all parts have in common; it must be possible to pickle.
        number: how many processes, with this one.
    """

    def __init__(self, job: J, number: int) -> None:
        self._job, self._number = job, number
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, action: Callable[[J, T], R], parts: Iterable[T], *, most: int | None = None) -> Generator[R]:
        """Yield what an action makes of each part, in order; the first to fail in that order raises its error.

        Args:
            action: a function of a module, of the job and a part.
            parts: are taken when there is work for them.
            most: how many processes may do parts at once.

        Raises:
            WorkerLost: the system ended a process.
        """
        number = min(self._number, most or self._number)
        remaining = iter(parts)
        first = list(itertools.islice(remaining, 2))
        together = itertools.chain(first, remaining)
        if len(first) < 2 or number == 1:
            yield from (action(self._job, part) for part in together)
            return
        try:
            yield from self._shared(action, together, number)
        except BrokenProcessPool as error:
            raise errors.WorkerLost(
                "cut: the system ended a worker, which may have needed more memory than there is; run the command "
                "again, with fewer --workers"
            ) from error

    def _shared(self, action: Callable[[J, T], R], parts: Iterable[T], number: int) -> Iterator[R]:
        """Have the others do parts, with as many waiting for them; while they have enough of them, do one here."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a copy of a process with threads may not live
            self._pool = ProcessPoolExecutor(self._number - 1, context, initializer=_start, initargs=(self._job,))
        enough = number - 1 if number < self._number else 2 * (number - 1)
        under_way = deque[Future[R]]()
        for part in parts:
            if sum(not future.done() for future in under_way) < enough:
                with _uninterrupted():
                    under_way.append(self._pool.submit(_do, action, part))
            else:
                under_way.append(_done_here(action, self._job, part))
            while under_way and under_way[0].done():
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back, which is for the command: a process that starts meanwhile does so for all its life."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _done_here(action: Callable[[J, T], R], job: J, part: T) -> Future[R]:
    """Return what an action makes of a part, or its error, which is raised when the parts before it are done."""
    future = Future[R]()
    try:
        future.set_result(action(job, part))
    except Exception as error:  # noqa: BLE001 - of whatever kind it is
        future.set_exception(error)
    return future


def _start(job: object) -> None:
    global _job  # noqa: PLW0603 - one job for the life of a worker
    _job = job
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)  # the command was killed: nobody waits for this worker


def _do(action: Callable[[Any, T], R], part: T) -> R:
    return action(_job, part)
