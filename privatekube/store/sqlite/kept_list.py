"""Keep the list of all resources of a kind, so that the next list reads only what has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from privatekube.store.sqlite.connection import Connection
from privatekube.store.unreadable import Unreadable

_WRITTEN_SINCE = "SELECT id, version, position FROM resources WHERE kind = ? AND version > ? ORDER BY position"
_NUMBER = "SELECT count(*) FROM resources WHERE kind = ?"
ReadAll = Callable[[Sequence[tuple[str, int]]], list[Any]]
"""Takes the ids and versions of resources; returns each, or why it cannot be read; None where it is deleted."""


class KeptList:
    """The resources of a kind in a file, in order of creation.

    Whatever is written has a version above all that are committed, so what has no later one is unchanged or
    deleted, and then there are fewer.

    Args:
        connection: to the file.
        kind: the name of the kind.
        read_all: reads what has changed.
    """

    def __init__(self, connection: Connection, kind: str, read_all: ReadAll) -> None:
        self._connection, self._kind, self._read_all = connection, kind, read_all
        self.clear()

    def clear(self) -> None:
        """Forget the list: what it has of the file is not there any more."""
        self._version = 0
        self._items: dict[str, Any] = {}
        self._faults: dict[str, Unreadable] = {}

    def current(self, namespace: str | None) -> list[Any]:
        """Return the resources of a namespace, or of all, and why some cannot be read."""
        self._update()
        if namespace is None:
            return list(self._items.values())
        prefix = f"{namespace}/"
        return [item for key, item in self._items.items() if key.startswith(prefix)]

    def faults(self) -> list[Unreadable]:
        """Return what cannot be read."""
        self._update()
        return list(self._faults.values())

    def _update(self) -> None:
        self._read_written()
        if len(self._items) != self._connection.rows(_NUMBER, self._kind)[0][0]:  # some were deleted
            self.clear()
            self._read_written()

    def _read_written(self) -> None:
        """Read what was written since the last time, and what could not be read: it may be repaired as it is."""
        rows = self._connection.rows(_WRITTEN_SINCE, self._kind, self._version)
        for resource_id, _, created in rows:
            if created > self._version:  # new, so it is the last one, also where there was one of its name
                self._items.pop(resource_id, None)
        versions = {**dict.fromkeys(self._faults, 0), **{resource_id: version for resource_id, version, _ in rows}}
        for key, item in zip(versions, self._read_all(list(versions.items())), strict=True):
            self._keep(key, item)
        self._version = max([self._version, *versions.values()])

    def _keep(self, key: str, item: Any) -> None:
        self._items[key] = item
        self._faults.pop(key, None)
        if isinstance(item, Unreadable):
            self._faults[key] = item
        elif item is None:
            del self._items[key]
