"""What an API server holds of one kind, kept up to date by a watch: listed once, then followed.

An object never goes back in time here: what is older than what was seen of it before is ignored, so whoever writes
through the cache reads its own writes. Safety does not hang on it: every write is conditional.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.custom_objects import Cluster

EPOCH = "controllerEpoch"
"""Field of every status that a controller writes: its epoch, see `watching`."""
EPOCH_ANNOTATION = "privacy.columbia.github.com/controller-epoch"
"""Annotation that says the same of an object whose status the API server does not take."""
_WATCH_SECONDS = 240
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0


@dataclass
class Cache:
    """The resources of a kind; of claims, those that a pass has to look at.

    Args:
        cluster: where they are.
        kind: `rows.BLOCK` or `rows.CLAIM`.
        plural: its name there.
        on_change: called when something changed that did not come by `put`.
        on_malformed: called with the id and what is wrong of an object that cannot be read; see `unreadable`.
        on_relist: called whenever all are listed anew.
    """

    cluster: Cluster
    kind: str
    plural: str
    on_change: Callable[[], None]
    on_malformed: Callable[[str, str], None]
    on_relist: Callable[[], None]
    _found: dict[str, Any] = field(default_factory=dict)
    _unreadable: dict[str, Json] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _listed: int = 0
    highest_epoch: int = 0
    """The latest epoch of a controller that was seen in a status; see `watching`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_filled: threading.Event = field(default_factory=threading.Event)

    @property
    def is_filled(self) -> bool:
        """Whether everything was listed once."""
        return self._is_filled.is_set()

    def start(self) -> None:
        """List, and follow what happens, in a thread of its own until the process ends."""
        threading.Thread(target=self._follow, name=f"watch {self.plural}", daemon=True).start()

    def fill(self) -> str:
        """List all anew; the version to watch from."""
        found, version = self.cluster.snapshot(self.plural)
        with self._lock:
            there = {_id(document) for document in found}
            self._seen = {key: seen for key, seen in self._seen.items() if key in there or seen > int(version)}
            self._found = {key: each for key, each in self._found.items() if key in self._seen}
            self._unreadable = {key: each for key, each in self._unreadable.items() if key in self._seen}
            self._listed = max(self._listed, int(version))
        for document in found:
            self.put(document, listed=True)
        self._is_filled.set()
        self.on_relist()
        self.on_change()
        return version

    def put(self, document: Json, *, listed: bool = False) -> bool:
        """Take an object as it is at its version; whether that is news.

        One that was never seen is newer than the last list, or `listed` there; otherwise it is gone by now.
        """
        key, version = _id(document), int(document["metadata"]["resourceVersion"])
        if not self._is_news(key, version, listed=listed):
            return False
        try:
            resource = documents.resource_of(self.kind, document)
        except errors.InvalidInput as error:
            resource = None
            self.on_malformed(key, str(error))
        return self._keep(key, document, resource, listed=listed)

    def take(self, document: Json) -> Any:
        """The same; the resource."""
        resource = documents.resource_of(self.kind, document)
        self._keep(resource.id, document, resource)
        return resource

    def _keep(self, key: str, document: Json, resource: Resource | None, *, listed: bool = False) -> bool:
        version = int(document["metadata"]["resourceVersion"])
        with self._lock:
            if version <= self._seen.get(key, -1 if listed else self._listed):
                return False
            self._seen[key] = version
            self.highest_epoch = max(self.highest_epoch, epoch_of(document))
            self._unreadable.pop(key, None)
            if resource is None:
                self._unreadable[key] = document
            if resource is not None and kinds.is_open(resource):
                self._found[key] = resource
            else:
                self._found.pop(key, None)
            return True

    def _is_news(self, key: str, version: int, *, listed: bool) -> bool:
        with self._lock:
            return version > self._seen.get(key, -1 if listed else self._listed)

    def drop(self, resource_id: str, version: int | None = None) -> bool:
        """Forget an object that is gone, as of that version; whether that is news."""
        with self._lock:
            if version is not None and version < self._seen.get(resource_id, 0):
                return False
            self._seen[resource_id] = max(self._seen.get(resource_id, 0), version or 0)
            self._unreadable.pop(resource_id, None)
            return self._found.pop(resource_id, None) is not None

    def get(self, resource_id: str) -> Resource | None:
        """The resource of that id, where it is kept here."""
        with self._lock:
            found: Resource | None = self._found.get(resource_id)
            return found

    def all(self) -> list[Any]:
        """All that are kept here, oldest first."""
        with self._lock:
            found = list(self._found.values())
        return sorted(found, key=documents.age)

    def unreadable(self) -> list[Json]:
        """What is there and cannot be read."""
        with self._lock:
            return list(self._unreadable.values())

    def _follow(self) -> None:
        version, wait = "", _FIRST_WAIT_SECONDS
        while True:
            try:
                version = version or self.fill()
                for happened, document in self.cluster.watch(self.plural, version, seconds=_WATCH_SECONDS):
                    version = document["metadata"]["resourceVersion"]
                    self._take(happened, document)
                    wait = _FIRST_WAIT_SECONDS
            except errors.Conflict:  # too old to go on from
                version = ""
            except errors.PrivateKubeError:
                time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads retries
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def _take(self, happened: str, document: Json) -> None:
        if happened == "BOOKMARK":
            return
        if happened == "DELETED":
            news = self.drop(_id(document), int(document["metadata"]["resourceVersion"]))
        else:
            news = self.put(document)
        if news:
            self.on_change()


def epoch_of(document: Json) -> int:
    """The latest epoch that wrote an object: its status, or where that is refused, its annotation."""
    noted = document["metadata"].get("annotations", {}).get(EPOCH_ANNOTATION, "")
    return max(int(document.get("status", {}).get(EPOCH, 0)), int(noted) if noted.isdigit() else 0)


def _id(document: Json) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"
