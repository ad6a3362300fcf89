"""The store of a cluster: blocks, claims, ledger and records as custom resources of a Kubernetes API server.

Nothing spans several objects there: every write is conditional on its object's resourceVersion, and the control plane
is correct without transactions.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from privatekube import errors
from privatekube.resources import brief, ledger, meta
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.codec import Json
from privatekube.resources.ledger import Entry
from privatekube.store import rows
from privatekube.store.base import R, Resource, RetiredData
from privatekube.store.cluster import Cluster

PLURAL = {rows.BLOCK: "privatedatablocks", rows.CLAIM: "privacybudgetclaims"}
ENTRIES, RETIRED = "privacyledgerentries", "retiredprivatedata"
CREATED = "privacy.columbia.github.com/created"
"""Annotation: when it was created, in nanoseconds, where this store did; creationTimestamp counts seconds only."""
SETTINGS, SYSTEM_NAMESPACE = "privatekube-policy", "privatekube-system"


class KubernetesStore:
    """A ResourceStore on an API server; see `base.ResourceStore` for the methods.

    Args:
        cluster: where the resources are.
        clock_ns: unix nanoseconds.
    """

    def __init__(self, cluster: Cluster, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._cluster, self._clock_ns = cluster, clock_ns
        self._entries: list[Entry] = []

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """See the protocol."""
        return cast("PrivateDataBlock | None", self._get(rows.BLOCK, block_id))

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """See the protocol."""
        return cast("PrivacyBudgetClaim | None", self._get(rows.CLAIM, claim_id))

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol."""
        return self._listed(rows.BLOCK, namespace)

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol."""
        return [each for each in self._listed(rows.CLAIM, namespace) if rows.is_open(each) or not open_only]

    def create(self, resource: R) -> R:
        """See the protocol."""
        created = {CREATED: f"{self._clock_ns():020d}", **resource.meta.annotations}
        named: R = replace(resource, meta=replace(resource.meta, annotations=created))
        try:
            return _read(named, self._cluster.create(PLURAL[rows.kind(resource)], _checked(named)))
        except errors.AlreadyExists as error:
            taken = f"{rows.kind(resource)} {resource.id}: exists already; choose another name, or delete it first"
            raise errors.AlreadyExists(taken) from error

    def update(self, resource: R) -> R:
        """See the protocol."""
        return _read(resource, self._cluster.replace(PLURAL[rows.kind(resource)], _checked(resource)))

    def update_status(self, resource: R) -> R:
        """See the protocol."""
        document = _document(resource)
        if isinstance(resource, PrivateDataBlock):
            columns = brief.block_columns(resource)
        else:
            columns = brief.claim_columns(resource)
        document["status"] = {**document.get("status", {}), **columns}
        return _read(resource, self._cluster.replace(PLURAL[rows.kind(resource)], document, status=True))

    def delete(self, resource: Resource) -> None:
        """See the protocol."""
        self._cluster.delete(PLURAL[rows.kind(resource)], _document(resource))

    def retire(self, data: RetiredData) -> None:
        """See the protocol."""
        spec = {"dataset": data.dataset, "digest": data.digest, "record": json.loads(data.to_json())}
        document = _object("RetiredPrivateData", _record_name(data.dataset, data.digest), spec)
        while True:
            before = self._cluster.get(RETIRED, document["metadata"]["name"])
            with contextlib.suppress(errors.Conflict, errors.AlreadyExists):
                if before is None:
                    self._cluster.create(RETIRED, document)
                else:
                    self._cluster.replace(RETIRED, {**before, "spec": spec})
                return

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """See the protocol."""
        found = self._cluster.get(RETIRED, _record_name(dataset, digest))
        return None if found is None else _record(found)

    def list_retired(self) -> list[RetiredData]:
        """See the protocol."""
        found = [_record(each) for each in self._cluster.listed(RETIRED)]
        return sorted(found, key=lambda each: (each.dataset, each.digest))

    def append(self, entry: Entry) -> None:
        """See the protocol. An entry's name is its place: of two who append at once, one begins anew."""
        while True:
            self._read_on()
            if any(each.identity == entry.identity for each in self._entries):
                return
            previous = self._entries[-1].digest if self._entries else ledger.GENESIS
            placed = ledger.chained(entry, sequence=len(self._entries) + 1, previous=previous)
            spec = {**placed.to_json(), "digest": placed.digest}
            with contextlib.suppress(errors.AlreadyExists):
                self._cluster.create(ENTRIES, _object("PrivacyLedgerEntry", _entry_name(placed.sequence), spec))
                self._entries.append(placed)
                return

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[Entry]:
        """See the protocol; read anew, so that a change would show."""
        found = sorted((_entry(each) for each in self._cluster.listed(ENTRIES)), key=lambda each: each.sequence)
        return [each for each in found if block_id in (None, each.block) and claim_id in (None, each.claim)]

    def settings(self) -> dict[str, str]:
        """See the protocol."""
        return self._cluster.config_map(SETTINGS, SYSTEM_NAMESPACE)

    def set_setting(self, name: str, value: str) -> None:
        """See the protocol."""
        self._cluster.set_config_map(SETTINGS, SYSTEM_NAMESPACE, {name: value})

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Nothing: an API server has none."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """See the protocol."""
        self._cluster.close()

    def _get(self, kind: str, resource_id: str) -> Any:
        namespace, _, name = resource_id.partition("/")
        found = self._cluster.get(PLURAL[kind], name, namespace)
        return None if found is None else _resource(kind, found)

    def _listed(self, kind: str, namespace: str | None) -> list[Any]:
        found = [_resource(kind, each) for each in self._cluster.listed(PLURAL[kind], namespace)]
        return sorted(found, key=_age)

    def _read_on(self) -> None:
        """Read the entries that others appended meanwhile; the first time, all."""
        if not self._entries:
            self._entries = list(self.ledger())
        while (found := self._cluster.get(ENTRIES, _entry_name(len(self._entries) + 1))) is not None:
            self._entries.append(_entry(found))


def _checked(resource: Resource) -> Json:
    """A resource as JSON that can be read again.

    Raises:
        InvalidInput: it could not.
    """
    rows.decode(rows.kind(resource), 0, rows.encode(resource))
    return _document(resource)


def _document(resource: Resource) -> Json:
    document: Json = json.loads(rows.encode(resource))
    document["metadata"].pop("creationTimestamp", None)  # the server's own, which it keeps
    return document


def _resource(kind: str, document: Json) -> Any:
    found = rows.decode(kind, document["metadata"]["resourceVersion"], json.dumps(document))
    created = found.meta.annotations.get(CREATED, "")
    if not created.isdigit():
        return found
    return replace(found, meta=replace(found.meta, creation_time_ms=int(created) // 1_000_000))


def _read(like: R, document: Json) -> R:
    return cast("R", _resource(rows.kind(like), document))


def _age(resource: Resource) -> tuple[int, str, str]:
    created_ms = resource.meta.creation_time_ms or 0
    return created_ms, resource.meta.annotations.get(CREATED, ""), resource.id


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": meta.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _entry_name(sequence: int) -> str:
    return f"entry-{sequence:012d}"


def _entry(document: Json) -> Entry:
    spec = dict(document["spec"])
    digest = spec.pop("digest")
    return Entry.from_json(spec, digest)


def _record_name(dataset: str, digest: str) -> str:
    return hashlib.sha256(f"{dataset}\0{digest}".encode()).hexdigest()[:40]


def _record(document: Json) -> RetiredData:
    spec = document["spec"]
    return RetiredData.from_json(spec["dataset"], spec["digest"], json.dumps(spec["record"]))
