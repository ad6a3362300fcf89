"""The controller's store on an API server: it lists from caches that a watch keeps, and writes as one of its epochs.

An epoch is one time of holding the controller's lease. Every status that is written names it; whoever takes over from a
controller that may still be running rewrites everything with its own first, so that no write of an earlier epoch, which
is conditional on what was read then, can succeed any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import cast

from privatekube import errors
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, Resource, V
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.observer import Observer
from privatekube.store.kubernetes.quarantine import Aside, Unreadable
from privatekube.store.kubernetes.store import PLURAL, KubernetesStore
from privatekube.store.kubernetes.watch_cache import EPOCH, EPOCH_ANNOTATION, Cache, epoch_of

_WRITERS = 8


class WatchingStore(KubernetesStore):
    """A KubernetesStore for one controller; see `base.ResourceStore` for the methods.

    Writes raise Deposed where a later epoch has written.
    """

    def __init__(self, cluster: Cluster, core: CoreObjects, observer: Observer, *, clock: Clock = SYSTEM) -> None:
        super().__init__(cluster, core, clock=clock)
        self.epoch = 0
        self._observer = observer
        self._pool = ThreadPoolExecutor(_WRITERS, "writer")
        self._caches = {kind: self._cache(kind) for kind in PLURAL}
        self._is_halted = False
        self._aside = Aside()

    def start(self) -> None:
        """Begin to list and follow."""
        for cache in self._caches.values():
            cache.start()

    @property
    def is_filled(self) -> bool:
        """Whether everything was listed once."""
        return all(cache.is_filled for cache in self._caches.values())

    def refresh(self) -> int:
        """List all anew; the latest epoch that has written any of it."""
        for cache in self._caches.values():
            cache.fill()
        return max(cache.highest_epoch for cache in self._caches.values())

    def take_over(self, epoch: int, *, fence: bool) -> None:
        """Write as `epoch` from here on; `fence`: first make sure that no earlier one can.

        Raises:
            Deposed: a later epoch has written.
        """
        self.epoch = epoch
        everything: list[Resource] = [*self.known_blocks(), *self.known_claims()]
        self.concurrently([partial(self._claim_for_epoch, each) for each in everything if fence])

    def halt(self) -> None:
        """Write nothing more from here on: the pass that is under way ends with Deposed, which loses nothing."""
        self._is_halted = True

    def drain(self) -> None:
        """Wait until no write is under way."""
        self._pool.shutdown(cancel_futures=True)

    def set_aside(self, named: str) -> Resource | None:
        """Leave an object out that cannot be worked on, until it changes or some time has passed.

        Args:
            named: kind and id, such as `block namespace/name`.

        Returns:
            the object; None where there is none.
        """
        kind, _, resource_id = named.partition(" ")
        found = self._caches[kind].get(resource_id)
        if found is not None:
            self._aside.put(found)
        return found

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol; from the cache, without what is left out."""
        usable = self._aside.blocks(self.known_blocks(), self._unreadable_blocks())
        return [each for each in usable if namespace in (None, each.meta.namespace)]

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol; the open ones from the cache, without what is left out."""
        if not open_only:
            return super().list_claims(namespace)
        usable = self._aside.claims(self.known_claims(), self.known_blocks(), self._unreadable_blocks())
        return [each for each in usable if namespace in (None, each.meta.namespace)]

    def known_blocks(self) -> list[PrivateDataBlock]:
        """All blocks that can be read, left out or not."""
        return self._caches[kinds.BLOCK].all()

    def known_claims(self) -> list[PrivacyBudgetClaim]:
        """All open claims that can be read, left out or not."""
        return self._caches[kinds.CLAIM].all()

    def update(self, resource: R) -> R:
        """See the protocol."""
        return self._writing(resource, super().update)

    def update_status(self, resource: R) -> R:
        """See the protocol."""
        before = self._caches[kinds.kind(resource)].get(resource.id)
        written = self._writing(resource, super().update_status)
        self._observer.wrote(before, written)
        return written

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """See the protocol."""
        return list(self._pool.map(lambda call: call(), calls)) if len(calls) > 1 else super().concurrently(calls)

    def append(self, entry: Entry) -> None:
        """See the protocol."""
        self._require_running()
        super().append(entry)

    def delete(self, resource: Resource) -> None:
        """See the protocol."""
        self._require_running()
        super().delete(resource)
        self._caches[kinds.kind(resource)].drop(resource.id)
        self._observer.changed()  # a new block of the same data may be admitted now

    def _writing(self, resource: R, write: Callable[[R], R]) -> R:
        """Write, and know what is there instead where that is refused."""
        self._require_running()
        try:
            return write(resource)
        except errors.NotFound:
            self._caches[kinds.kind(resource)].drop(resource.id)
            raise
        except errors.Conflict:
            self._observer.met_conflict()
            self._get(kinds.kind(resource), resource.id)
            raise

    def _require_running(self) -> None:
        if self._is_halted:
            raise errors.Deposed("controller: is ending; another one goes on from what is stored")

    def _get(self, kind: str, resource_id: str) -> Resource | None:
        """The object as it is now, which the cache takes as well."""
        namespace, _, name = resource_id.partition("/")
        document = self._cluster.get(PLURAL[kind], name, namespace)
        if document is None:
            self._caches[kind].drop(resource_id)
            return None
        return self._read(kind, document)

    def _wrote(self, resource: R, document: Json) -> R:
        return cast("R", self._read(kinds.kind(resource), document))

    def _read(self, kind: str, document: Json) -> Resource:
        self._require_epoch(document)
        found: Resource = self._caches[kind].take(document)
        return found

    def _columns(self, resource: Resource) -> Json:
        return {**super()._columns(resource), EPOCH: self.epoch}

    def _require_epoch(self, document: Json) -> None:
        written = epoch_of(document)
        if written > self.epoch:
            raise errors.Deposed(f"controller: epoch {self.epoch} is over, epoch {written} has written; stop")

    def _claim_for_epoch(self, resource: Resource) -> None:
        """Rewrite a status as this epoch's, whatever is there by now."""
        current: Resource | None = resource
        while current is not None and not _is_new_block(current):
            try:
                super().update_status(current)  # type: ignore[type-var]  # of either kind
            except errors.NotFound:
                return
            except errors.Conflict:
                current = self._get(kinds.kind(current), current.id)
            except errors.NotServed:  # says nothing about the object
                raise
            except errors.Permanent:
                current = self._annotated(current)
            else:
                return

    def _annotated(self, resource: Resource) -> Resource | None:
        """Note the epoch where a status is refused; what to try again, None where that is done.

        Where that is refused as well, nobody can write the object: it is set aside.
        """
        annotations = {**resource.meta.annotations, EPOCH_ANNOTATION: str(self.epoch)}
        noted = replace(resource, meta=replace(resource.meta, annotations=annotations))
        try:
            super().update(noted)  # type: ignore[type-var]  # of either kind
        except errors.Conflict:
            return self._get(kinds.kind(resource), resource.id)
        except errors.NotServed:
            raise
        except errors.Permanent:
            self.set_aside(f"{kinds.kind(resource)} {resource.id}")
        return None

    def _unreadable_blocks(self) -> list[Unreadable]:
        return [Unreadable.of(document) for document in self._caches[kinds.BLOCK].unreadable()]

    def _cache(self, kind: str) -> Cache:
        observer = self._observer
        return Cache(
            self._cluster,
            kind,
            PLURAL[kind],
            on_change=observer.changed,
            on_malformed=lambda resource_id, fault: observer.malformed(kind, resource_id, fault),
            on_relist=lambda: observer.relisted(kind),
        )


def _is_new_block(resource: Resource) -> bool:
    """Whether it is a block without a status, which must not get one that way; it holds nothing yet."""
    return isinstance(resource, PrivateDataBlock) and resource.status is None
