"""A store in memory, for tests and examples."""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import override

from privatekube import errors
from privatekube.resources import ledger
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry, Readable
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData
from privatekube.store import kinds
from privatekube.store.backend import Backend
from privatekube.store.base import R, Resource
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kinds import Kind


@dataclass
class MemoryStore(Backend):
    """A store whose content is gone with the process.

    Args:
        clock: gives the time of creation of resources.
        resources: by name of their kind and id.
        records: of deleted data, by dataset and digest.
        named_settings: of the control plane.
        secrets: of the data owner and the control plane, by name.
        identities: of data, by id.
        entries: of the ledger.
        quotas: by id.
        approvals: by id.
        last_version: of all resources.
    """

    clock: Clock = SYSTEM
    resources: dict[tuple[str, str], Any] = field(default_factory=dict)
    records: dict[tuple[str, str], RetiredData] = field(default_factory=dict)
    named_settings: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    identities: dict[str, DataIdentity] = field(default_factory=dict)
    entries: list[AnyEntry] = field(default_factory=list)
    quotas: dict[str, PrivacyBudgetQuota] = field(default_factory=dict)
    approvals: dict[str, PrivacyBudgetApproval] = field(default_factory=dict)
    last_version: int = 0
    _depth: int = 0

    @override
    def create(self, resource: R) -> R:
        kind = kinds.kind_of(resource)
        if (kind.name, resource.id) in self.resources:
            raise errors.AlreadyExists(f"{kind} {resource.id}: exists already; choose another name")
        meta = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self.clock.now_ms(), generation=1)
        return self._write(kind.decode(kind.encode(replace(resource, meta=meta)), 0))

    @override
    def update(self, resource: R) -> R:
        return self._write(self._updated(resource))

    @override
    def update_status(self, resource: R) -> R:
        updated: R = replace(self._current(resource), status=resource.status)
        return self._write(updated)

    @override
    def delete(self, resource: Resource) -> None:
        self._current(resource)
        del self.resources[kinds.name_of(resource)]

    @override
    def retire(self, data: RetiredData) -> None:
        self.records[data.dataset, data.digest] = data

    @override
    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        return self.records.get((dataset, digest))

    @override
    def list_retired(self) -> list[RetiredData]:
        return [self.records[key] for key in sorted(self.records)]

    @override
    def append(self, entry: AnyEntry) -> None:
        if all(entry.identity != other.identity for other in self.entries):
            previous = self.entries[-1].digest if self.entries else ledger.GENESIS
            self.entries = [*self.entries, ledger.chain_to(previous, entry, sequence=len(self.entries) + 1)]

    @override
    def readable_ledger(self) -> Readable:
        return Readable(tuple(self.entries))

    @override
    def list_quotas(self) -> list[PrivacyBudgetQuota]:
        return [self.quotas[key] for key in sorted(self.quotas)]

    @override
    def put_quota(self, quota: PrivacyBudgetQuota) -> None:
        self.quotas[quota.id] = quota

    @override
    def delete_quota(self, quota_id: str) -> None:
        if self.quotas.pop(quota_id, None) is None:
            raise self._no_quota(quota_id)

    @override
    def list_approvals(self) -> list[PrivacyBudgetApproval]:
        return [self.approvals[key] for key in sorted(self.approvals)]

    @override
    def add_approval(self, approval: PrivacyBudgetApproval) -> None:
        if approval.id in self.approvals:
            raise self._decided_before(approval)
        given_ms = approval.meta.creation_time_ms  # of a backup
        meta = replace(approval.meta, creation_time_ms=self.clock.now_ms() if given_ms is None else given_ms)
        self.approvals[approval.id] = replace(approval, meta=meta)

    @override
    def settings(self) -> dict[str, str]:
        return dict(self.named_settings)

    @override
    def set_setting(self, name: str, value: str) -> None:
        self.named_settings[name] = value

    @override
    def ensure_secret(self, name: str, value: bytes) -> bytes:
        return self.secrets.setdefault(name, value)

    @override
    def keep_identity(self, identity: DataIdentity) -> None:
        self.identities.setdefault(identity.id, identity)

    @override
    def identity(self, identity_id: str) -> DataIdentity | None:
        return self.identities.get(identity_id)

    @override
    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        before = {name: copy.copy(content) for name, content in vars(self).items() if isinstance(content, dict | list)}
        self._depth += 1
        try:
            yield
        except BaseException:
            if self._depth == 1:
                vars(self).update(before)
            raise
        finally:
            self._depth -= 1

    @override
    def close(self) -> None:
        pass

    @override
    def _get(self, kind: Kind[R], resource_id: str) -> R | None:
        return self.resources.get((kind.name, resource_id))

    @override
    def _list(self, kind: Kind[R], namespace: str | None, *, open_only: bool) -> list[R]:
        resources = [resource for (name, _), resource in self.resources.items() if name == kind.name]
        of_namespace = [resource for resource in resources if namespace in (None, resource.meta.namespace)]
        return [resource for resource in of_namespace if kinds.is_open(resource) or not open_only]

    def _write(self, resource: R) -> R:
        self.last_version += 1
        written = kinds.at_version(resource, self.last_version)
        self.resources[kinds.name_of(resource)] = written
        return written
