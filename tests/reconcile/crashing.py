"""A store without transactions that fails before or after its n-th write, as a process that dies there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from privatekube.store.base import ResourceStore

WRITES = frozenset({"create", "update", "update_status", "delete", "retire", "append"})


class CrashError(Exception):
    """The process died."""


class CrashingStore:
    """Passes everything on to `store`; `arm` sets when to fail. `writes` counts what was written."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self.writes = 0
        self.arm(None)

    def arm(
        self, writes: int | None, *, after: bool = False, error: Exception | None = None, always: bool = False
    ) -> None:
        """Fail at the `writes`-th write from now: before it, or `after` it is done; None never does.

        Args:
            error: instead of the process dying there.
            always: at every write from there on.
        """
        self._left, self._after, self._error, self._always = writes, after, error or CrashError(), always

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Every write is by itself."""
        yield

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._store, name)
        return self._writing(method) if name in WRITES else method

    def _writing(self, method: Callable[..., Any]) -> Callable[..., Any]:
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
