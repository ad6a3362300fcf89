"""A mirror of the objects of one kind on an API server: what is kept of each, always up to date."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes import documents, following
from privatekube.store.kubernetes.custom_objects import Cluster

T = TypeVar("T")


class Mirror(Generic[T]):
    """Keeps something of each object of a kind.

    Args:
        cluster: access to the objects.
        plural: name of the kind.
        keep: returns what to keep of an object; None for nothing.
        on_change: called after every change.

    Example::

        workloads = Mirror(cluster, "workloads", Workload.from_document, wake)
        workloads.start()
    """

    def __init__(
        self, cluster: Cluster, plural: str, keep: Callable[[Json], T | None], on_change: Callable[[], None]
    ) -> None:
        self._cluster, self._plural, self._keep, self._on_change = cluster, plural, keep, on_change
        self._kept: dict[str, T] = {}
        self._lock = threading.Lock()
        self._is_filled = threading.Event()
        self._thread: threading.Thread | None = None

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
        self._thread = following.start(self._cluster, self._plural, self._fill, self._handle)

    def get(self, key: str) -> T | None:
        """Return what is kept of the object with the id `namespace/name`."""
        with self._lock:
            return self._kept.get(key)

    def all(self) -> list[T]:
        """Return what is kept."""
        with self._lock:
            return list(self._kept.values())

    def _fill(self) -> str:
        listed, version = self._cluster.snapshot(self._plural)
        kept = {documents.id_of(document): self._keep(document) for document in listed}
        with self._lock:
            self._kept = {key: item for key, item in kept.items() if item is not None}
        self._is_filled.set()
        self._on_change()
        return version

    def _handle(self, event: str, document: Json) -> None:
        key, item = documents.id_of(document), None if event == "DELETED" else self._keep(document)
        with self._lock:
            self._kept.pop(key, None)
            if item is not None:
                self._kept[key] = item
        self._on_change()
