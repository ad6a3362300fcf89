"""A store in this process: resources in dictionaries, nothing outlives it. What might be is tried out on one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from privatekube import errors
from privatekube.resources import ledger
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData
from privatekube.store import kinds
from privatekube.store.base import R, Resource, ResourceStore, V
from privatekube.store.clock import SYSTEM, Clock


@dataclass
class MemoryStore:
    """See `base.ResourceStore` for the methods."""

    clock: Clock = SYSTEM
    resources: dict[tuple[str, str], Any] = field(default_factory=dict)
    records: dict[tuple[str, str], RetiredData] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    last: int = 0
    depth: int = 0

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """See the protocol."""
        return self.resources.get((kinds.BLOCK, block_id))

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """See the protocol."""
        return self.resources.get((kinds.CLAIM, claim_id))

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol."""
        return self._listed(kinds.BLOCK, namespace)

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol."""
        return [each for each in self._listed(kinds.CLAIM, namespace) if kinds.is_open(each) or not open_only]

    def create(self, resource: R) -> R:
        """See the protocol."""
        key = (kinds.kind(resource), resource.id)
        if key in self.resources:
            raise errors.AlreadyExists(f"{key[0]} {resource.id}: exists already; choose another name")
        identity = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self.clock.now_ms(), generation=1)
        created: R = kinds.decode(key[0], 0, kinds.encode(replace(resource, meta=identity)))
        return self._write(created)

    def update(self, resource: R) -> R:
        """See the protocol."""
        current = self._current(resource)
        generation = current.meta.generation + (current.spec != resource.spec)
        changed: R = replace(resource, meta=replace(resource.meta, generation=generation), status=current.status)
        return self._write(changed)

    def update_status(self, resource: R) -> R:
        """See the protocol."""
        changed: R = replace(self._current(resource), status=resource.status)
        return self._write(changed)

    def delete(self, resource: Resource) -> None:
        """See the protocol."""
        self._current(resource)
        del self.resources[kinds.kind(resource), resource.id]

    def retire(self, data: RetiredData) -> None:
        """See the protocol."""
        self.records[data.dataset, data.digest] = data

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """See the protocol."""
        return self.records.get((dataset, digest))

    def list_retired(self) -> list[RetiredData]:
        """See the protocol."""
        return [self.records[key] for key in sorted(self.records)]

    def append(self, entry: Entry) -> None:
        """See the protocol."""
        if all(entry.identity != other.identity for other in self.entries):
            previous = self.entries[-1].digest if self.entries else ledger.GENESIS
            self.entries = [*self.entries, ledger.chained(entry, sequence=len(self.entries) + 1, previous=previous)]

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> list[Entry]:
        """See the protocol."""
        return [each for each in self.entries if block_id in (None, each.block) and claim_id in (None, each.claim)]

    def settings(self) -> dict[str, str]:
        """See the protocol."""
        return dict(self.named)

    def set_setting(self, name: str, value: str) -> None:
        """See the protocol."""
        self.named[name] = value

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See the protocol."""
        before = (dict(self.resources), dict(self.records), dict(self.named), self.entries)
        self.depth += 1
        try:
            yield
        except BaseException:
            if self.depth == 1:
                self.resources, self.records, self.named, self.entries = before
            raise
        finally:
            self.depth -= 1

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """See the protocol."""
        return [call() for call in calls]

    def close(self) -> None:
        """Nothing to give back."""

    def copy(self) -> MemoryStore:
        """A store with the same content, on its own from here on."""
        return replace(
            self,
            resources=dict(self.resources),
            records=dict(self.records),
            named=dict(self.named),
        )

    def _listed(self, kind: str, namespace: str | None) -> list[Any]:
        listed = [each for key, each in self.resources.items() if key[0] == kind]
        return [each for each in listed if namespace in (None, each.meta.namespace)]

    def _current(self, resource: Resource) -> Any:
        current = self.resources.get((kinds.kind(resource), resource.id))
        if current is None:
            raise errors.NotFound(f"{resource.id}: is gone")
        if current.meta.resource_version != resource.meta.resource_version:
            raise errors.Conflict(f"{resource.id}: was changed meanwhile")
        return current

    def _write(self, resource: R) -> R:
        self.last += 1
        written = kinds.versioned(resource, self.last)
        self.resources[kinds.kind(resource), resource.id] = written
        return written


def copy_of(store: ResourceStore) -> MemoryStore:
    """What is in `store` now, but for its ledger; nothing that is done to the copy is done to the store."""
    copied = MemoryStore(named=store.settings())
    with store.transaction():
        everything: list[Resource] = [*store.list_blocks(), *store.list_claims()]
        for resource in everything:
            copied.resources[kinds.kind(resource), resource.id] = resource
        for record in store.list_retired():
            copied.records[record.dataset, record.digest] = record
    return copied
