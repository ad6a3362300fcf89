"""The controller's store on an API server: it lists from caches that watches keep up to date, and writes in an epoch.

An epoch is one term of holding the controller's lease. Every status that is written names the epoch. A controller that
takes over from another one that may still be running first rewrites all statuses in its own epoch. After that no write
of an earlier epoch can succeed, because it is conditional on a version that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from typing_extensions import override

from privatekube import errors
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import AnyEntry
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, RecordSource, Resource, V
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes import epochs
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.observer import Observer
from privatekube.store.kubernetes.store import KubernetesStore
from privatekube.store.kubernetes.watch_cache import Cache
from privatekube.store.quarantine import Quarantine
from privatekube.store.recent_records import RecentRecords
from privatekube.store.unreadable import UnreadableBlock, UnreadableClaim

_WRITERS = 8


class ControllerStore(KubernetesStore):
    """The store of one controller; writes raise Deposed where a later epoch has written.

    Args:
        cluster: access to the custom resources.
        core: access to Kubernetes' own objects.
        observer: is told what is written and seen.
        lease_epoch: reads the epoch of the lease, up to which the annotations of objects are believed.
        clock: gives the time of creation of resources.
    """

    def __init__(
        self,
        cluster: Cluster,
        core: CoreObjects,
        observer: Observer,
        lease_epoch: Callable[[], int],
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        super().__init__(cluster, core, clock=clock)
        self.epoch = 0
        self._observer, self._lease_epoch = observer, lease_epoch
        self._pool = ThreadPoolExecutor(_WRITERS, "writer")
        self._blocks, self._claims = self._cache(kinds.BLOCK), self._cache(kinds.CLAIM)
        self._caches: dict[str, Cache[Any]] = {kinds.BLOCK.name: self._blocks, kinds.CLAIM.name: self._claims}
        self._is_halted = False
        self._quarantine = Quarantine()
        self._recent_records = RecentRecords(self)
        self._secrets: dict[str, bytes] = {}

    def start(self) -> None:
        """Start to list and watch both kinds."""
        for cache in self._caches.values():
            cache.start()

    @property
    def is_filled(self) -> bool:
        """Whether both kinds were listed at least once."""
        return all(cache.is_filled for cache in self._caches.values())

    @property
    def is_followed(self) -> bool:
        """Whether no watch has ended."""
        return all(cache.is_followed for cache in self._caches.values())

    def refresh(self) -> int:
        """List both kinds again, and return the latest epoch that has written any status."""
        for cache in self._caches.values():
            cache.fill()
        return max(cache.highest_epoch for cache in self._caches.values())

    def take_over(self, epoch: int, *, fence: bool) -> None:
        """Write in `epoch` from now on.

        Args:
            epoch: of this controller.
            fence: whether to make sure first that no write of an earlier epoch can succeed.

        Raises:
            Deposed: a later epoch has written.
        """
        self.epoch = epoch
        resources: list[Resource] = [*self.known_blocks(), *self.known_claims()]
        self.concurrently([partial(self._rewrite_status, resource) for resource in resources if fence])

    def halt(self) -> None:
        """Refuse all further writes: a running pass ends with Deposed, which loses nothing."""
        self._is_halted = True

    def drain(self) -> None:
        """Wait until no write is in progress."""
        self._pool.shutdown(cancel_futures=True)

    def quarantine(self, name: errors.ResourceName) -> Resource | None:
        """Quarantine an object that a pass cannot work on, and return it; None where it does not exist."""
        resource: Resource | None = self._caches[name.kind].get(name.id)
        if resource is not None:
            self._quarantine.add(resource)
        return resource

    @override
    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """Return the cached blocks without the quarantined ones."""
        claims = [UnreadableClaim.from_stored(stored) for stored in self._claims.unreadable()]
        known = self.known_blocks(), self._unreadable_blocks(), claims, self.known_claims()
        usable = self._quarantine.usable_blocks(*known)
        return [block for block in usable if namespace in (None, block.meta.namespace)]

    @override
    def usable_blocks(self) -> list[PrivateDataBlock]:
        return self.list_blocks()

    @override
    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """Return all claims from the server, or the cached open ones without the quarantined ones."""
        if not open_only:
            return super().list_claims(namespace)
        usable, _ = self._split_claims()
        return [claim for claim in usable if namespace in (None, claim.meta.namespace)]

    @override
    def obstructed_claims(self) -> list[PrivacyBudgetClaim]:
        """Return the cached open claims that depend on a block which is quarantined or cannot be read."""
        _, obstructed = self._split_claims()
        return obstructed

    def known_blocks(self) -> list[PrivateDataBlock]:
        """Return all blocks that can be read, quarantined or not."""
        return self._blocks.all()

    def known_claims(self) -> list[PrivacyBudgetClaim]:
        """Return all open claims that can be read, quarantined or not."""
        return self._claims.all()

    @override
    def update(self, resource: R) -> R:
        return self._write_guarded(resource, super().update)

    @override
    def update_status(self, resource: R) -> R:
        before = self._cache_of(kinds.kind_of(resource)).get(resource.id)
        written = self._write_guarded(resource, super().update_status)
        self._observer.on_write(before, written)
        return written

    @override
    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """Run the calls at the same time, and wait for all of them: after one fails, no other is still on its way."""
        if len(calls) <= 1:
            return super().concurrently(calls)
        running = [self._pool.submit(call) for call in calls]
        futures.wait(running)
        return [future.result() for future in running]

    @override
    def list_retired(self) -> list[RetiredData]:
        records = super().list_retired()
        self._recent_records.keep(records)
        return records

    @override
    def recent_records(self) -> RecordSource:
        return self._recent_records

    @override
    def ensure_secret(self, name: str, value: bytes) -> bytes:
        """Return the secret, which the server is asked for once: it never changes."""
        if name not in self._secrets:
            self._secrets[name] = super().ensure_secret(name, value)
        return self._secrets[name]

    @override
    def append(self, entry: AnyEntry) -> None:
        self._require_running()
        super().append(entry)

    @override
    def delete(self, resource: Resource) -> None:
        self._require_running()
        super().delete(resource)
        self._drop(resource)
        self._observer.on_change()  # a new block of the same data may be admitted now

    def _write_guarded(self, resource: R, write: Callable[[R], R]) -> R:
        """Write a resource; where that is refused, bring the cache up to date."""
        self._require_running()
        try:
            return write(resource)
        except errors.NotFound:
            self._drop(resource)
            raise
        except errors.Conflict:
            self._observer.on_conflict()
            self._get(kinds.kind_of(resource), resource.id)
            raise

    def _drop(self, resource: Resource) -> None:
        self._caches[kinds.name_of(resource).kind].drop(resource.id, int(resource.meta.resource_version))

    def _require_running(self) -> None:
        if self._is_halted:
            raise errors.Deposed("controller: is stopping; another one continues from what is stored")

    @override
    def _get(self, kind: Kind[R], resource_id: str) -> R | None:
        """Return the object as it is on the server, and update the cache."""
        version = self._cache_of(kind).version_of(resource_id)
        document = self._document(kind, resource_id)
        if document is None:
            self._cache_of(kind).drop(resource_id, version)
            return None
        return self._written(kind, document)

    @override
    def _written(self, kind: Kind[R], document: Json) -> R:
        self._require_epoch(document)
        return self._cache_of(kind).put(document)

    @override
    def _status_columns(self, resource: Resource) -> Json:
        return {**super()._status_columns(resource), epochs.STATUS_FIELD: self.epoch}

    def _require_epoch(self, document: Json) -> None:
        written, annotated = epochs.of_status(document), epochs.of_annotation(document)
        if annotated > max(written, self.epoch) and annotated <= self._lease_epoch():
            written = annotated
        if written > self.epoch:
            raise errors.Deposed(f"controller: epoch {self.epoch} is over, epoch {written} has written; stop")

    def _rewrite_status(self, resource: Resource) -> None:
        """Write the object's current status again in this epoch."""
        kind: Kind[Any] = kinds.kind_of(resource)
        current: Resource | None = resource
        while current is not None and not _is_new_block(current):
            try:
                super().update_status(current)  # type: ignore[type-var]  # of either kind
            except errors.NotFound:
                return
            except errors.Conflict:
                current = self._get(kind, resource.id)
            except errors.NotServed:  # the fault is not the object's
                raise
            except errors.Permanent:
                current = self._annotate(current)
            else:
                return

    def _annotate(self, resource: Resource) -> Resource | None:
        """Write the epoch as an annotation, because the server refuses the status; if it refuses both, quarantine.

        Returns:
            the object as it is on the server, where another write came first; None where there is nothing to repeat.
        """
        kind: Kind[Any] = kinds.kind_of(resource)
        annotations = {**resource.meta.annotations, epochs.ANNOTATION: str(self.epoch)}
        annotated = replace(resource, meta=replace(resource.meta, annotations=annotations))
        try:
            super().update(annotated)  # type: ignore[type-var]  # of either kind
        except errors.Conflict:
            return self._get(kind, resource.id)
        except errors.NotServed:
            raise
        except errors.Permanent:
            self.quarantine(kinds.name_of(resource))
        return None

    def _split_claims(self) -> tuple[list[PrivacyBudgetClaim], list[PrivacyBudgetClaim]]:
        return self._quarantine.split_claims(self.known_claims(), self.known_blocks(), self._unreadable_blocks())

    def _unreadable_blocks(self) -> list[UnreadableBlock]:
        return [UnreadableBlock.from_stored(stored) for stored in self._blocks.unreadable()]

    def _cache_of(self, kind: Kind[R]) -> Cache[R]:
        return self._caches[kind.name]

    def _cache(self, kind: Kind[R]) -> Cache[R]:
        return Cache(self._cluster, kind, self._observer)


def _is_new_block(resource: Resource) -> bool:
    """Whether it is a block without a status, which a rewrite must not give it; it holds no budget yet."""
    return isinstance(resource, PrivateDataBlock) and resource.status is None
