"""The store of a cluster: blocks, claims, ledger and records as custom resources of a Kubernetes API server.

An API server has no transactions across objects. Every write is conditional on the resourceVersion of its object, and
the control plane is correct without transactions.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

from typing_extensions import override

from privatekube import errors
from privatekube.resources import meta, summary
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry, Readable
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire import approvals, quotas
from privatekube.resources.wire.common import Json
from privatekube.store import collector, kinds
from privatekube.store.backend import Backend
from privatekube.store.base import R, Resource
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.ledger_chain import LedgerChain
from privatekube.store.unreadable import Reports, Unreadable

RETIRED, DATA_IDENTITIES, QUOTAS = "retiredprivatedata", "dataidentities", "privacybudgetquotas"
APPROVALS = "privacybudgetapprovals"
SETTINGS, SYSTEM_NAMESPACE = "privatekube-policy", "privatekube-system"


class KubernetesStore(Backend):
    """A store on an API server.

    Args:
        cluster: access to the custom resources.
        core: access to Kubernetes' own objects.
        clock: gives the time of creation of resources.
    """

    def __init__(self, cluster: Cluster, core: CoreObjects, *, clock: Clock = SYSTEM) -> None:
        self._cluster, self._core, self._clock = cluster, core, clock
        self._ledger = LedgerChain(cluster)
        self._identities: dict[str, DataIdentity] = {}
        self._reports = Reports()

    @override
    def create(self, resource: R) -> R:
        kind = kinds.kind_of(resource)
        annotations = {documents.CREATED: f"{self._clock.now_ns():020d}", **resource.meta.annotations}
        annotated: R = replace(resource, meta=replace(resource.meta, annotations=annotations))
        if isinstance(annotated, PrivacyBudgetClaim):
            annotated = _of_user(annotated, self.user())
        try:
            document = documents.checked_document(documents.with_finalizer(annotated))
            return self._written(kind, self._cluster.create(kind.plural, document))
        except errors.AlreadyExists as error:
            message = f"{kinds.name_of(resource)}: exists already; choose another name, or delete it first"
            raise errors.AlreadyExists(message) from error

    @override
    def update(self, resource: R) -> R:
        kind = kinds.kind_of(resource)
        return self._written(kind, self._cluster.replace(kind.plural, documents.checked_document(resource)))

    @override
    def update_status(self, resource: R) -> R:
        """Replace the status; a block without the finalizer gets it first, so that no status is lost unrecorded."""
        kind = kinds.kind_of(resource)
        protected = documents.with_finalizer(resource)
        if protected is not resource:
            resource = replace(resource, meta=self.update(protected).meta)
        document = documents.document_of(resource)
        document["status"] = {**document.get("status", {}), **self._status_columns(resource)}
        return self._written(kind, self._cluster.replace(kind.plural, document, status=True))

    @override
    def delete(self, resource: Resource) -> None:
        """Remove a resource and its finalizer: the caller has recorded what must outlive a block."""
        kind: Kind[Any] = kinds.kind_of(resource)
        document = documents.document_of(resource)
        finalizers = list(document["metadata"].get("finalizers", ()))
        if documents.FINALIZER in finalizers:
            document["metadata"]["finalizers"] = [name for name in finalizers if name != documents.FINALIZER]
            document = self._cluster.replace(kind.plural, document)
        if not resource.meta.is_deleted:
            self._cluster.delete(kind.plural, document)

    def request_deletion(self, block: PrivateDataBlock) -> None:
        """Mark a block for deletion; the control plane records what was committed on its data and then removes it."""
        self._cluster.delete(kinds.BLOCK.plural, documents.document_of(block))

    @override
    def retire(self, data: RetiredData) -> None:
        """Record what was committed on deleted data; a record that is out of date never replaces a higher one."""
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

    @override
    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        document = self._cluster.get(RETIRED, documents.record_name(dataset, digest))
        return None if document is None else documents.record_of(document)

    @override
    def list_retired(self) -> list[RetiredData]:
        records = [documents.record_of(document) for document in self._cluster.list_objects(RETIRED)]
        return sorted(records, key=lambda record: (record.dataset, record.digest))

    @override
    def append(self, entry: AnyEntry) -> None:
        self._ledger.append(entry)

    @override
    def readable_ledger(self) -> Readable:
        return self._ledger.read()

    @override
    def list_quotas(self) -> list[PrivacyBudgetQuota]:
        listed = [quotas.from_store(document) for document in self._cluster.list_objects(QUOTAS)]
        return sorted(listed, key=lambda quota: quota.id)

    @override
    def put_quota(self, quota: PrivacyBudgetQuota) -> None:
        document = quotas.to_wire(quota)
        before = self._cluster.get(QUOTAS, quota.meta.name, quota.meta.namespace)
        if before is None:
            self._cluster.create(QUOTAS, document)
        else:
            self._cluster.replace(QUOTAS, {**before, "spec": document["spec"]})

    @override
    def delete_quota(self, quota_id: str) -> None:
        namespace, _, name = quota_id.partition("/")
        document = self._cluster.get(QUOTAS, name, namespace)
        if document is None:
            raise self._no_quota(quota_id)
        self._cluster.delete(QUOTAS, document)

    @override
    def list_approvals(self) -> list[PrivacyBudgetApproval]:
        listed = [approvals.from_store(document) for document in self._cluster.list_objects(APPROVALS)]
        return sorted((item for item in listed if item is not None), key=lambda approval: approval.id)

    @override
    def add_approval(self, approval: PrivacyBudgetApproval) -> None:
        try:
            self._cluster.create(APPROVALS, approvals.to_wire(approval))
        except errors.AlreadyExists as error:
            raise self._decided_before(approval) from error

    @override
    def user(self) -> str:
        return self._core.user()

    @override
    def settings(self) -> dict[str, str]:
        return self._core.config_map(SETTINGS, SYSTEM_NAMESPACE)

    @override
    def set_setting(self, name: str, value: str) -> None:
        self._core.set_config_map(SETTINGS, SYSTEM_NAMESPACE, {name: value})

    @override
    def ensure_secret(self, name: str, value: bytes) -> bytes:
        return self._core.ensure_secret(f"privatekube-{name}", SYSTEM_NAMESPACE, value)

    @override
    def keep_identity(self, identity: DataIdentity) -> None:
        document = documents.custom_object("DataIdentity", identity.id, identity.to_json())
        with contextlib.suppress(errors.AlreadyExists):  # an identity never changes
            self._cluster.create(DATA_IDENTITIES, document)

    @override
    def identity(self, identity_id: str) -> DataIdentity | None:
        """Return the identity of that id, read once: it never changes."""
        if identity_id not in self._identities:
            document = self._cluster.get(DATA_IDENTITIES, identity_id)
            if document is None:
                return None
            self._identities[identity_id] = documents.identity_of(document)
        return self._identities[identity_id]

    @override
    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that does nothing: an API server has no transactions."""
        return contextlib.nullcontext()

    @override
    def close(self) -> None:
        self._cluster.close()

    @override
    def _get(self, kind: Kind[R], resource_id: str) -> R | None:
        document = self._document(kind, resource_id)
        return None if document is None else documents.resource_of(kind, document)

    def _document(self, kind: Kind[R], resource_id: str) -> Json | None:
        namespace, _, name = resource_id.partition("/")
        return self._cluster.get(kind.plural, name, namespace)

    @override
    def _list(self, kind: Kind[R], namespace: str | None, *, open_only: bool) -> list[R]:
        """Return the objects that can be read; of the others, log why they cannot."""
        with collector.paused():
            items = self._cluster.list_objects(kind.plural, namespace)
            resources = self._reports.readable(documents.read(kind, document) for document in items)
        listed = [resource for resource in resources if kinds.is_open(resource) or not open_only]
        return sorted(listed, key=documents.creation_order)

    @override
    def _unreadable(self, kind: Kind[Any]) -> list[Unreadable]:
        items = self._cluster.list_objects(kind.plural)
        return [read for item in items if isinstance(read := documents.read(kind, item), Unreadable)]

    def _written(self, kind: Kind[R], document: Json) -> R:
        """Return the resource in the server's answer to a write."""
        return documents.resource_of(kind, document)

    def _status_columns(self, resource: Resource) -> Json:
        """Return the fields of a status that only kubectl's columns show."""
        if isinstance(resource, PrivateDataBlock):
            return summary.block_columns(resource)
        return summary.claim_columns(resource)


def _of_user(claim: PrivacyBudgetClaim, user: str) -> PrivacyBudgetClaim:
    """Return a claim that says who creates it, as the API server requires."""
    spec = replace(claim.spec, requester=replace(claim.spec.requester, user=user))
    annotations = {**claim.meta.annotations, meta.CREATED_BY: user}
    return replace(claim, meta=replace(claim.meta, annotations=annotations), spec=spec)
