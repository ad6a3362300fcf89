"""A store in memory, for tests and for trying out what a pass would do."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import override

from privatekube import errors
from privatekube.resources import ledger
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData
from privatekube.store import kinds
from privatekube.store.base import R, Resource, ResourceStore, V
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kinds import Kind


@dataclass
class MemoryStore(ResourceStore):
    """A store whose content is gone with the process.

    Args:
        clock: gives the time of creation of resources.
        resources: by name of their kind and id.
        records: of deleted data, by dataset and digest.
        named_settings: of the control plane.
        entries: of the ledger.
        last_version: of all resources.
    """

    clock: Clock = SYSTEM
    resources: dict[tuple[str, str], Any] = field(default_factory=dict)
    records: dict[tuple[str, str], RetiredData] = field(default_factory=dict)
    named_settings: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    last_version: int = 0
    _depth: int = 0

    @override
    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        return self._get(kinds.BLOCK, block_id)

    @override
    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        return self._get(kinds.CLAIM, claim_id)

    @override
    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        return self._list(kinds.BLOCK, namespace)

    @override
    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        claims = self._list(kinds.CLAIM, namespace)
        return [claim for claim in claims if kinds.is_open(claim) or not open_only]

    @override
    def create(self, resource: R) -> R:
        kind = kinds.kind_of(resource)
        if (kind.name, resource.id) in self.resources:
            raise errors.AlreadyExists(f"{kind} {resource.id}: exists already; choose another name")
        meta = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self.clock.now_ms(), generation=1)
        return self._write(kind.decode(kind.encode(replace(resource, meta=meta)), 0))

    @override
    def update(self, resource: R) -> R:
        current = self._current(resource)
        generation = current.meta.generation + (current.spec != resource.spec)
        updated: R = replace(resource, meta=replace(resource.meta, generation=generation), status=current.status)
        return self._write(updated)

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
    def append(self, entry: Entry) -> None:
        if all(entry.identity != other.identity for other in self.entries):
            previous = self.entries[-1].digest if self.entries else ledger.GENESIS
            self.entries = [*self.entries, ledger.chained(entry, sequence=len(self.entries) + 1, previous=previous)]

    @override
    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> list[Entry]:
        return ledger.select(self.entries, block_id=block_id, claim_id=claim_id)

    @override
    def settings(self) -> dict[str, str]:
        return dict(self.named_settings)

    @override
    def set_setting(self, name: str, value: str) -> None:
        self.named_settings[name] = value

    @override
    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        before = (dict(self.resources), dict(self.records), dict(self.named_settings), self.entries)
        self._depth += 1
        try:
            yield
        except BaseException:
            if self._depth == 1:
                self.resources, self.records, self.named_settings, self.entries = before
            raise
        finally:
            self._depth -= 1

    @override
    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        return [call() for call in calls]

    @override
    def close(self) -> None:
        pass

    def copy(self) -> MemoryStore:
        """Return a store with the same content, independent of this one."""
        return replace(
            self,
            resources=dict(self.resources),
            records=dict(self.records),
            named_settings=dict(self.named_settings),
        )

    def _get(self, kind: Kind[R], resource_id: str) -> R | None:
        return self.resources.get((kind.name, resource_id))

    def _list(self, kind: Kind[R], namespace: str | None) -> list[R]:
        resources = [resource for (name, _), resource in self.resources.items() if name == kind.name]
        return [resource for resource in resources if namespace in (None, resource.meta.namespace)]

    def _current(self, resource: Resource) -> Any:
        """Return the stored resource, which must be of the version that was read."""
        current = self.resources.get(kinds.name_of(resource))
        if current is None:
            raise errors.NotFound(f"{kinds.name_of(resource)}: is gone")
        if current.meta.resource_version != resource.meta.resource_version:
            raise errors.Conflict(f"{kinds.name_of(resource)}: was changed meanwhile")
        return current

    def _write(self, resource: R) -> R:
        self.last_version += 1
        written = kinds.at_version(resource, self.last_version)
        self.resources[kinds.name_of(resource)] = written
        return written


def copy_of(store: ResourceStore) -> MemoryStore:
    """Return a copy in memory of what a store holds now, without its ledger."""
    copy = MemoryStore(named_settings=store.settings())
    with store.transaction():
        resources: list[Resource] = [*store.list_blocks(), *store.list_claims()]
        copy.resources = {kinds.name_of(resource): resource for resource in resources}
        copy.records = {(record.dataset, record.digest): record for record in store.list_retired()}
    return copy
