"""Keep the list of all resources of a kind, so that the next list reads only what has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from privatekube.store.sqlite.connection import Connection
from privatekube.store.unreadable import Unreadable

_WRITTEN_SINCE = "SELECT id, version, position FROM resources WHERE kind = ? AND version > ? ORDER BY position"
_VERSIONS = "SELECT count(*), total(version) FROM resources WHERE kind = ?"
ReadAll = Callable[[Sequence[tuple[str, int]]], list[Any]]
"""Takes the ids and versions of resources; returns each, or why it cannot be read; None where it is deleted."""


class KeptList:
    """The resources of a kind in a file, in order of creation.

    Whatever is written has a version above all that are committed. So what has no later one is unchanged or deleted, or
    is of an earlier copy of the file that was put in its place; then the number or the sum of all versions differs.

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
        self._versions: dict[str, int] = {}
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
        if (len(self._versions), sum(self._versions.values())) != self._connection.rows(_VERSIONS, self._kind)[0]:
            self.clear()
            self._read_written()

    def _read_written(self) -> None:
        """Read what was written since the last time, and what could not be read: it may be repaired as it is."""
        rows = self._connection.rows(_WRITTEN_SINCE, self._kind, self._version)
        for resource_id, _, created in rows:
            if created > self._version:  # new, so it is the last one, also where there was one of its name
                self._items.pop(resource_id, None)
        written = {resource_id: version for resource_id, version, _ in rows}
        self._versions |= written
        keys = [*written, *(key for key in self._faults if key not in written)]
        for key, item in zip(keys, self._read_all([(key, self._versions[key]) for key in keys]), strict=True):
            self._keep(key, item)
        self._version = max([self._version, *written.values()])

    def _keep(self, key: str, item: Any) -> None:
        self._items[key] = item
        self._faults.pop(key, None)
        if isinstance(item, Unreadable):
            self._faults[key] = item
        elif item is None:
            del self._items[key], self._versions[key]
