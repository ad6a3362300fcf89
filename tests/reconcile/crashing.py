"""A store without transactions that fails before or after its n-th write, like a process that dies there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from privatekube.store.base import ResourceStore

WRITES = frozenset({"create", "update", "update_status", "delete", "retire", "append"})


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
