"""The state of a store at one time, and what every view derives from it once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from privatekube.engine import outcome, quotas
from privatekube.engine.draft import Draft
from privatekube.engine.world import World
from privatekube.forecast import positions, run_out
from privatekube.forecast.depletion import Depletion
from privatekube.forecast.run_out import History
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger, remaining
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import AnyEntry, Entry
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.remaining import Remaining
from privatekube.resources.retired_data import RetiredData
from privatekube.scheduling.policy import Policy
from privatekube.store.base import Resource


@dataclass(frozen=True, slots=True)
class Kept:
    """What was derived for a snapshot, and from what: the next one takes over what is derived from the same.

    Args:
        blocks: by id.
        entries: of the ledger, by id of the block.
        histories: what was spent of each block, by id.
    """

    blocks: Mapping[str, PrivateDataBlock] = field(default_factory=dict)
    entries: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    histories: Mapping[str, History] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """What was read of a store.

    Args:
        store: how its user named it.
        now_ms: when, by the clock of the store, in unix milliseconds.
        blocks: by id, in order of creation.
        claims: by id, likewise.
        entries: the ledger, in order.
        settings: the policy as text.
        retired: the records of deleted data.
        unreadable: what cannot be read of it, in words; no other field has it.
        quotas: how much teams and namespaces may commit.
        left: what is left of each block, by id.
        kept: what was derived for an earlier snapshot.
    """

    store: str
    now_ms: int
    blocks: Mapping[str, PrivateDataBlock]
    claims: Mapping[str, PrivacyBudgetClaim]
    entries: tuple[AnyEntry, ...]
    settings: Mapping[str, str]
    retired: tuple[RetiredData, ...] = ()
    unreadable: tuple[str, ...] = ()
    quotas: tuple[PrivacyBudgetQuota, ...] = ()
    left: Mapping[str, Remaining] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)

    @cached_property
    def revision(self) -> str:
        """A digest that changes with what is stored, and not with the time."""
        resources: list[Resource] = [*self.blocks.values(), *self.claims.values()]
        versions = [f"{resource.id}@{resource.meta.resource_version}" for resource in resources]
        entry = self.entries[-1].digest if self.entries else ""
        text = "\n".join([*versions, entry, *self.unreadable, repr(sorted(self.settings.items())), repr(self.quotas)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def policy(self) -> Policy:
        """The scheduling policy."""
        return Policy.parse(self.settings)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """The position of each claim that waits, by id."""
        return positions.positions(list(self.claims.values()), self.blocks, self.policy, self.quotas)

    @cached_property
    def amounts(self) -> tuple[Entry, ...]:
        """The entries of committed amounts, in order."""
        return tuple(ledger.amounts(self.entries))

    @cached_property
    def entries_of_block(self) -> Mapping[str, tuple[Entry, ...]]:
        """The entries of the ledger by id of the block."""
        by_block: dict[str, list[Entry]] = {}
        for entry in self.amounts:
            by_block.setdefault(entry.block, []).append(entry)
        return {block_id: tuple(entries) for block_id, entries in by_block.items()}

    @cached_property
    def wholes(self) -> Mapping[str, PrivacyBudget]:
        """The initial budget of each block, by id; of deleted ones too."""
        gone = {data.block_id: data.initial_budget for data in self.retired}
        return gone | {block.id: block.spec.initial_budget for block in self.blocks.values()}

    @cached_property
    def shares(self) -> Mapping[int, float]:
        """Which share of its block's lifetime each amount of the ledger is, by sequence; 0 where that is not known."""
        wholes = self.wholes
        return {entry.sequence: _share(entry, wholes.get(entry.block)) for entry in self.amounts}

    @cached_property
    def datasets(self) -> Mapping[tuple[str, str], tuple[PrivateDataBlock, ...]]:
        """The blocks by namespace and name of the dataset."""
        groups: dict[tuple[str, str], list[PrivateDataBlock]] = {}
        for block in self.blocks.values():
            groups.setdefault((block.meta.namespace, block.spec.dataset), []).append(block)
        return {key: tuple(groups[key]) for key in sorted(groups)}

    @cached_property
    def histories(self) -> Mapping[str, History]:
        """What was spent of each block, by id."""
        kept = self.kept
        return {
            block_id: kept.histories[block_id]
            if kept.blocks.get(block_id) is block and kept.entries.get(block_id, ()) == self._entries_of(block_id)
            else self._history(block)
            for block_id, block in self.blocks.items()
        }

    def _entries_of(self, block_id: str) -> tuple[Entry, ...]:
        return self.entries_of_block.get(block_id, ())

    def _history(self, block: PrivateDataBlock) -> History:
        return run_out.history(
            block.id,
            self.left[block.id].share,
            self._entries_of(block.id),
            whole=block.spec.initial_budget,
            created_ms=block.meta.creation_time_ms or self.now_ms,
        )

    @cached_property
    def run_outs(self) -> Mapping[tuple[str, str], tuple[Depletion, Depletion]]:
        """When the first block of each dataset runs out, and the dataset."""
        return {
            key: self._runs_out([self.histories[block.id] for block in blocks]) for key, blocks in self.datasets.items()
        }

    def _runs_out(self, histories: Sequence[History]) -> tuple[Depletion, Depletion]:
        _, first = run_out.first(histories, now_ms=self.now_ms)
        return first, run_out.of_dataset(histories, now_ms=self.now_ms)

    @cached_property
    def quota_shares(self) -> Mapping[str, Mapping[str, float]]:
        """Which share of each quota is used on each block of which it allows some, by their ids.

        It is counted by the rule by which requests are decided. A quota that cannot be counted has none.
        """
        world = World(self.now_ms, self.blocks, {}, quotas=self.quotas, charges=self.amounts)
        draft = Draft(outcome.with_claims(world, self.claims))
        return {quota.id: {} if quota.fault is not None else _used(draft, quota) for quota in self.quotas}

    def keep(self) -> Kept:
        """Return what the next snapshot may take over."""
        return Kept(self.blocks, self.entries_of_block, self.histories)

    def prepare(self) -> None:
        """Compute what most views show, so that no visitor waits for it."""
        _ = self.revision, self.positions, self.shares, self.run_outs


def _used(draft: Draft, quota: PrivacyBudgetQuota) -> dict[str, float]:
    capacity, used = quotas.room_of(draft, quota)
    allowing = {block: whole for block, whole in capacity.items() if any(whole.values)}
    return {block: arithmetic.used_share(used[block], capacity=whole) for block, whole in allowing.items()}


def _share(entry: Entry, whole: PrivacyBudget | None) -> float:
    return 0.0 if whole is None else remaining.share_of(entry.amount, whole) or 0.0


def left_of(blocks: Iterable[PrivateDataBlock], before: Snapshot | None) -> dict[str, Remaining]:
    """Return what is left of each block, by id; of those that were not written since `before`, what it says."""
    known = {} if before is None else before.blocks
    old = {} if before is None else before.left
    return {block.id: old[block.id] if known.get(block.id) is block else remaining.of_block(block) for block in blocks}
