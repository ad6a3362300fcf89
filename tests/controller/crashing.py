"""A store without transactions that fails before or after its n-th write, as a process that dies there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from privatekube.store.base import ResourceStore

WRITES = frozenset({"create", "update", "update_status", "delete", "retire"})


class CrashError(Exception):
    """The process died."""


class CrashingStore:
    """Passes everything on to `store`; `arm` sets when to die."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._left: int | None = None
        self._after = False

    def arm(self, writes: int | None, *, after: bool = False) -> None:
        """Die at the `writes`-th write from now: before it, or `after` it is done; None never does."""
        self._left, self._after = writes, after

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Every write is by itself."""
        yield

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._store, name)
        return self._writing(method) if name in WRITES else method

    def _writing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any) -> Any:
            dies = self._left is not None and self._left <= 1
            if self._left is not None:
                self._left -= 1
            if dies and not self._after:
                raise CrashError
            result = method(*arguments)
            if dies:
                raise CrashError
            return result

        return write
