"""Processes that die: after any part of a pass's changes is stored, or before or after the n-th write to a store."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from privatekube.engine import changes
from privatekube.engine.changes import Change, Write
from privatekube.store.base import ResourceStore

WRITES = frozenset({"create", "update", "update_status", "delete", "retire", "append"})


MOST_SUBSETS = 4
"""Up to this many changes of a segment, every subset is tried; above it, each alone and all without one."""


def stored_parts(decided: Iterable[Change]) -> Iterator[list[Write]]:
    """Yield what may be stored when a process dies: all segments before one barrier, and some changes of the next."""
    before: list[Write] = []
    for segment in changes.segments(decided):
        yield from ([*before, *part] for part in _subsets(segment))
        before += segment


def _subsets(segment: list[Write]) -> Iterator[tuple[Write, ...]]:
    if len(segment) <= MOST_SUBSETS:
        for size in range(len(segment)):
            yield from itertools.combinations(segment, size)
    else:
        yield ()
        yield from ((change,) for change in segment)
        yield from itertools.combinations(segment, len(segment) - 1)


class CrashError(Exception):
    """The process died."""


class CrashingStore:
    """Delegates to `store`; `arm` sets when to fail, `writes` counts the writes."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self.writes = 0
        self.arm(None)

    def arm(
        self, writes: int | None, *, after: bool = False, error: Exception | None = None, always: bool = False
    ) -> None:
        """Fail at the `writes`-th write from now, before it or `after` it; never if None.

        Args:
            writes: which write.
            after: whether to write first.
            error: raised instead of CrashError.
            always: whether to fail at every later write as well.
        """
        self._left, self._after, self._error, self._always = writes, after, error or CrashError(), always

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make every write a separate one."""
        yield

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._store, name)
        return self._wrap(method) if name in WRITES else method

    def _wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any) -> Any:
            fails = self._left is not None and (self._left == 1 or (self._always and self._left < 1))
            if self._left is not None:
                self._left -= 1
            if fails and not self._after:
                raise self._error
            result = method(*arguments)
            self.writes += 1
            if fails:
                raise self._error
            return result

        return write
