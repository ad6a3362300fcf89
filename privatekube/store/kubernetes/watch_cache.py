"""A cache of all objects of one kind on an API server: listed once, then kept up to date by a watch.

An object in the cache never goes back to an earlier version, so a controller that puts its own writes here reads them
again. The safety of the control plane does not depend on this: every write is conditional.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic

from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store import collector, kinds
from privatekube.store.base import R
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes import documents, epochs, following
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.observer import Observer
from privatekube.store.unreadable import Unreadable


@dataclass
class Cache(Generic[R]):
    """The objects of one kind; of claims, only those that a pass has to look at.

    Args:
        cluster: access to the objects.
        kind: of the objects.
        observer: is told of changes by other processes, of objects that cannot be read, and of every new list.
    """

    cluster: Cluster
    kind: Kind[R]
    observer: Observer
    _resources: dict[str, R] = field(default_factory=dict)
    _unreadable: dict[str, Unreadable] = field(default_factory=dict)
    _seen_versions: dict[str, int] = field(default_factory=dict)
    _list_version: int = 0
    highest_epoch: int = 0
    """The latest epoch of a controller that was seen in a status; see `controller_store`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_filled: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def is_filled(self) -> bool:
        """Whether all objects were listed at least once."""
        return self._is_filled.is_set()

    @property
    def is_followed(self) -> bool:
        """Whether the objects are watched: it was not started yet, or its thread is running."""
        return self._thread is None or self._thread.is_alive()

    def start(self) -> None:
        """Start to list and watch, in a thread that runs until the process ends."""
        self._thread = following.start(self.cluster, self.kind.plural, self.fill, self._handle)

    def fill(self) -> str:
        """List all objects again, and return the version to watch from."""
        with collector.paused():
            version = self._fill()
        self._is_filled.set()
        self.observer.on_relist(self.kind)
        self.observer.on_change()
        return version

    def _fill(self) -> str:
        listed, version = self.cluster.snapshot(self.kind.plural)
        with self._lock:
            ids = {documents.id_of(document) for document in listed}
            seen = {key: seen for key, seen in self._seen_versions.items() if key in ids or seen > int(version)}
            self._seen_versions = seen
            self._resources = {key: resource for key, resource in self._resources.items() if key in seen}
            self._unreadable = {key: stored for key, stored in self._unreadable.items() if key in seen}
            self._list_version = max(self._list_version, int(version))
        for document in listed:
            self._put_if_new(document, is_listed=True)
        return version

    def put(self, document: Json) -> R:
        """Take over the object in the server's answer to a read or a write, and return it.

        Raises:
            InvalidInput: it cannot be read.
        """
        resource = documents.resource_of(self.kind, document)
        self._keep(resource.id, document, resource)
        return resource

    def drop(self, resource_id: str, version: int) -> bool:
        """Forget an object that was deleted as of that version, but no newer one of its name; whether it was here."""
        with self._lock:
            if version < self._seen_versions.get(resource_id, 0):
                return False
            self._seen_versions[resource_id] = version
            self._unreadable.pop(resource_id, None)
            return self._resources.pop(resource_id, None) is not None

    def get(self, resource_id: str) -> R | None:
        """Return the object with that id, or None where the cache does not have it."""
        with self._lock:
            return self._resources.get(resource_id)

    def version_of(self, resource_id: str) -> int:
        """Return the version up to which an object is known; 0 where the cache never saw it."""
        with self._lock:
            return self._seen_versions.get(resource_id, 0)

    def all(self) -> list[R]:
        """Return all objects, oldest first."""
        with self._lock:
            resources = list(self._resources.values())
        return sorted(resources, key=documents.creation_order)

    def unreadable(self) -> list[Unreadable]:
        """Return the objects that cannot be read."""
        with self._lock:
            return list(self._unreadable.values())

    def _put_if_new(self, document: Json, *, is_listed: bool = False) -> bool:
        """Take over an object of a list or a watch; whether it is newer than what the cache knows."""
        key, version = documents.id_of(document), int(document["metadata"]["resourceVersion"])
        with self._lock:
            if version <= self._known_version(key, is_listed=is_listed):
                return False
        read = documents.read(self.kind, document)
        if isinstance(read, Unreadable):
            self.observer.on_malformed(self.kind, _meta(document), str(read.error))
        return self._keep(key, document, read, is_listed=is_listed)

    def _keep(self, key: str, document: Json, read: R | Unreadable, *, is_listed: bool = False) -> bool:
        version = int(document["metadata"]["resourceVersion"])
        with self._lock:
            if version <= self._known_version(key, is_listed=is_listed):
                return False
            self._seen_versions[key] = version
            self.highest_epoch = max(self.highest_epoch, epochs.of_status(document))
            self._unreadable.pop(key, None)
            self._resources.pop(key, None)
            if isinstance(read, Unreadable):
                self._unreadable[key] = read
            elif kinds.is_open(read):
                self._resources[key] = read
            return True

    def _known_version(self, key: str, *, is_listed: bool) -> int:
        """Return the version up to which an object is known.

        An object that the cache never saw, and that the last list did not have, was deleted before that list.
        """
        return self._seen_versions.get(key, -1 if is_listed else self._list_version)

    def _handle(self, event: str, document: Json) -> None:
        if event == "DELETED":
            is_new = self.drop(documents.id_of(document), int(document["metadata"]["resourceVersion"]))
        else:
            is_new = self._put_if_new(document)
        if is_new:
            self.observer.on_change()


def _meta(document: Json) -> meta.ObjectMeta:
    """Return the identity of an object that as a whole cannot be read."""
    metadata = document["metadata"]
    return meta.ObjectMeta(metadata["name"], metadata["namespace"], str(metadata.get("uid", "")))
