"""The store of a cluster: blocks, claims, ledger and records as custom resources of a Kubernetes API server.

Nothing spans several objects there: every write is conditional on its object's resourceVersion, and the control plane
is correct without transactions.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from privatekube import errors
from privatekube.resources import ledger, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, Resource, V
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster

PLURAL = {kinds.BLOCK: "privatedatablocks", kinds.CLAIM: "privacybudgetclaims"}
ENTRIES, RETIRED = "privacyledgerentries", "retiredprivatedata"
SETTINGS, SYSTEM_NAMESPACE = "privatekube-policy", "privatekube-system"


class KubernetesStore:
    """A ResourceStore on an API server; see `base.ResourceStore` for the methods.

    Args:
        cluster: where the resources are.
        core: Kubernetes' own objects there.
        clock: stamps what is created.
    """

    def __init__(self, cluster: Cluster, core: CoreObjects, *, clock: Clock = SYSTEM) -> None:
        self._cluster, self._core, self._clock = cluster, core, clock
        self._entries: list[Entry] = []
        self._entered: set[str] = set()

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """See the protocol."""
        return cast("PrivateDataBlock | None", self._get(kinds.BLOCK, block_id))

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """See the protocol."""
        return cast("PrivacyBudgetClaim | None", self._get(kinds.CLAIM, claim_id))

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol."""
        return self._listed(kinds.BLOCK, namespace)

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol."""
        return [each for each in self._listed(kinds.CLAIM, namespace) if kinds.is_open(each) or not open_only]

    def create(self, resource: R) -> R:
        """See the protocol."""
        created = {documents.CREATED: f"{self._clock.now_ns():020d}", **resource.meta.annotations}
        named = documents.kept(replace(resource, meta=replace(resource.meta, annotations=created)))
        try:
            return self._wrote(named, self._cluster.create(PLURAL[kinds.kind(resource)], documents.checked(named)))
        except errors.AlreadyExists as error:
            taken = f"{kinds.kind(resource)} {resource.id}: exists already; choose another name, or delete it first"
            raise errors.AlreadyExists(taken) from error

    def update(self, resource: R) -> R:
        """See the protocol."""
        return self._wrote(resource, self._cluster.replace(PLURAL[kinds.kind(resource)], documents.checked(resource)))

    def update_status(self, resource: R) -> R:
        """See the protocol. A block without the finalizer gets it first: no status without a record of it."""
        kept = documents.kept(resource)
        if kept is not resource:
            resource = replace(resource, meta=self.update(kept).meta)
        document = documents.document_of(resource)
        document["status"] = {**document.get("status", {}), **self._columns(resource)}
        return self._wrote(resource, self._cluster.replace(PLURAL[kinds.kind(resource)], document, status=True))

    def delete(self, resource: Resource) -> None:
        """See the protocol. Whoever deletes here has recorded what must outlive a block: its finalizer goes as well."""
        document, plural = documents.document_of(resource), PLURAL[kinds.kind(resource)]
        finalizers = list(document["metadata"].get("finalizers", ()))
        if documents.FINALIZER in finalizers:
            document["metadata"]["finalizers"] = [each for each in finalizers if each != documents.FINALIZER]
            document = self._cluster.replace(plural, document)
        if not resource.meta.is_deleted:
            self._cluster.delete(plural, document)

    def request_deletion(self, block: PrivateDataBlock) -> None:
        """Mark a block to be deleted: the control plane records what was committed on its data, and lets it go."""
        self._cluster.delete(PLURAL[kinds.BLOCK], documents.document_of(block))

    def retire(self, data: RetiredData) -> None:
        """See the protocol. What was committed never falls, whoever comes late with what was true before."""
        spec = {"dataset": data.dataset, "digest": data.digest, "record": json.loads(data.to_json())}
        document = documents.custom_object("RetiredPrivateData", documents.record_name(data.dataset, data.digest), spec)
        while True:
            before = self._cluster.get(RETIRED, document["metadata"]["name"])
            if before is not None and documents.record_of(before).holds_more_than(data):
                return
            with contextlib.suppress(errors.Conflict, errors.AlreadyExists):
                if before is None:
                    self._cluster.create(RETIRED, document)
                else:
                    self._cluster.replace(RETIRED, {**before, "spec": spec})
                return

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """See the protocol."""
        found = self._cluster.get(RETIRED, documents.record_name(dataset, digest))
        return None if found is None else documents.record_of(found)

    def list_retired(self) -> list[RetiredData]:
        """See the protocol."""
        found = [documents.record_of(each) for each in self._cluster.listed(RETIRED)]
        return sorted(found, key=lambda each: (each.dataset, each.digest))

    def append(self, entry: Entry) -> None:
        """See the protocol. An entry's name is its place: of two who append at once, one begins anew."""
        if not self._entries:
            self._read_on()
        while entry.identity not in self._entered:
            previous = self._entries[-1].digest if self._entries else ledger.GENESIS
            placed = ledger.chained(entry, sequence=len(self._entries) + 1, previous=previous)
            spec = {**placed.to_json(), "digest": placed.digest}
            name = documents.entry_name(placed.sequence)
            try:
                self._cluster.create(ENTRIES, documents.custom_object("PrivacyLedgerEntry", name, spec))
            except errors.AlreadyExists:
                self._read_on()
            else:
                self._enter(placed)

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[Entry]:
        """See the protocol; read anew, so that a change would show."""
        entries = [documents.entry_of(each) for each in self._cluster.listed(ENTRIES)]
        found = sorted(entries, key=lambda each: each.sequence)
        return [each for each in found if block_id in (None, each.block) and claim_id in (None, each.claim)]

    def settings(self) -> dict[str, str]:
        """See the protocol."""
        return self._core.config_map(SETTINGS, SYSTEM_NAMESPACE)

    def set_setting(self, name: str, value: str) -> None:
        """See the protocol."""
        self._core.set_config_map(SETTINGS, SYSTEM_NAMESPACE, {name: value})

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Nothing: an API server has none."""
        return contextlib.nullcontext()

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """See the protocol."""
        return [call() for call in calls]

    def close(self) -> None:
        """See the protocol."""
        self._cluster.close()

    def _get(self, kind: str, resource_id: str) -> Any:
        namespace, _, name = resource_id.partition("/")
        found = self._cluster.get(PLURAL[kind], name, namespace)
        return None if found is None else documents.resource_of(kind, found)

    def _listed(self, kind: str, namespace: str | None) -> list[Any]:
        found = [documents.resource_of(kind, each) for each in self._cluster.listed(PLURAL[kind], namespace)]
        return sorted(found, key=documents.age)

    def _wrote(self, resource: R, document: Json) -> R:
        """What was written, as the server has it."""
        return cast("R", documents.resource_of(kinds.kind(resource), document))

    def _columns(self, resource: Resource) -> Json:
        """What a status has besides, for kubectl's columns."""
        if isinstance(resource, PrivateDataBlock):
            return summary.block_columns(resource)
        return summary.claim_columns(resource)

    def _read_on(self) -> None:
        """Read the entries that others appended meanwhile; the first time, all."""
        if not self._entries:
            for entry in self.ledger():
                self._enter(entry)
        while (found := self._cluster.get(ENTRIES, documents.entry_name(len(self._entries) + 1))) is not None:
            self._enter(documents.entry_of(found))

    def _enter(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._entered.add(entry.identity)
