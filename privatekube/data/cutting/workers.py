"""Do the parts of a job in several processes, in order and with few of them under way, or all in this process."""

from __future__ import annotations

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
    """Processes that share a job; they start when they are first needed.

    Args:
        job: what all parts have in common; it must be possible to pickle.
        number: how many processes; 1 is this one.
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
        """Yield what an action makes of each part, in order; one part alone is done in this process.

        Args:
            action: a function of a module, of the job and a part.
            parts: are taken when there is work for them.
            most: how many parts may be under way.

        Raises:
            WorkerLost: the system ended a process.
        """
        remaining = iter(parts)
        first = list(itertools.islice(remaining, 2))
        together = itertools.chain(first, remaining)
        if len(first) < 2 or min(self._number, most or self._number) == 1:
            yield from (action(self._job, part) for part in together)
            return
        try:
            yield from self._map_in_pool(action, together, min(self._number, most or self._number))
        except BrokenProcessPool as error:
            raise errors.WorkerLost(
                "cut: the system ended a worker, which may have needed more memory than there is; run the command "
                "again, with fewer --workers"
            ) from error

    def _map_in_pool(self, action: Callable[[J, T], R], parts: Iterable[T], most: int) -> Iterator[R]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a copy of a process with threads may not live
            self._pool = ProcessPoolExecutor(self._number, context, initializer=_start, initargs=(self._job,))
        under_way = deque[Future[R]]()
        for part in parts:
            under_way.append(self._pool.submit(_do, action, part))
            if len(under_way) > most:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _start(job: object) -> None:
    global _job  # noqa: PLW0603 - one job for the life of a worker
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)  # the command was killed: nobody waits for this worker


def _do(action: Callable[[Any, T], R], part: T) -> R:
    return action(_job, part)
