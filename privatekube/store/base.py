"""The store protocol: get, list, and conditional writes, as an API server offers them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import codec
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.reader import Reader

Resource = PrivateDataBlock | PrivacyBudgetClaim
R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RetiredData:
    """What outlives a deleted block: what was committed on its data, for good.

    Args:
        dataset: of the block.
        digest: of its data.
        block_id: the block that held it last.
        initial_budget: the data's budget for its whole life.
        committed: by claim id.
        unsettled: ledger entries of what claims held when the block was deleted; a part of what is committed.
    """

    dataset: str
    digest: str
    block_id: str
    initial_budget: PrivacyBudget
    committed: Mapping[str, PrivacyBudget]
    unsettled: tuple[Entry, ...] = ()

    def to_json(self) -> str:
        """What a store keeps under dataset and digest."""
        budgets = {
            "initialBudget": codec.budget_to_wire(self.initial_budget),
            "committedBudgetMap": codec.budgets_to_wire(self.committed),
        }
        return json.dumps({"blockId": self.block_id, **budgets, "unsettled": [e.to_json() for e in self.unsettled]})

    def holds_more_than(self, other: RetiredData) -> bool:
        """Whether more was committed on it than `other` says, at some component or order."""
        nothing = self.initial_budget * 0.0
        more = budget.total(self.committed.values(), start=nothing)
        less = budget.total(other.committed.values(), start=other.initial_budget * 0.0)
        return not budget.is_close(more, less) and any(value > 0 for value in (more - less).values)

    @classmethod
    def from_json(cls, dataset: str, digest: str, text: str) -> RetiredData:
        """Read what `to_json` wrote.

        Raises:
            CorruptData: the record has no budget.
        """
        body = Reader(json.loads(text), "retired")
        initial = codec.read_budget(body, "initialBudget")
        if initial is None:
            raise errors.CorruptData(f"store: the record of deleted data {digest} has no budget; restore a backup")
        committed = codec.read_budgets(body, "committedBudgetMap")
        unsettled = tuple(Entry.from_json(dict(each.document), "") for each in body.children("unsettled"))
        return cls(dataset, digest, body.text("blockId"), initial, committed, unsettled)


class ResourceStore(Protocol):
    """Keeps resources; every write is conditional on the resource_version that was read.

    All methods may raise StoreBusy; writes raise Conflict when somebody else wrote first, NotFound when it is gone.
    """

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """The block `namespace/name`, or None."""

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """The claim `namespace/name`, or None."""

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """All blocks, in order of creation."""

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """All claims, in order of creation; `open_only`: those that `rows.is_open` says."""

    def create(self, resource: R) -> R:
        """Add a resource and return it with its identity filled in; AlreadyExists when the name is taken."""

    def update(self, resource: R) -> R:
        """Replace metadata and spec; the status stays."""

    def update_status(self, resource: R) -> R:
        """Replace the status; metadata and spec stay."""

    def delete(self, resource: Resource) -> None:
        """Remove a resource."""

    def retire(self, data: RetiredData) -> None:
        """Record, for good, what was committed on data whose block is deleted; replaces an earlier record of it."""

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """The record of that data, or None."""

    def list_retired(self) -> list[RetiredData]:
        """All records of deleted data."""

    def append(self, entry: Entry) -> None:
        """Add an entry to the ledger, chained to the last one; does nothing where its identity is there already."""

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[Entry]:
        """The ledger's entries, or those of a block or claim, in order.

        Raises:
            CorruptData: an entry cannot be read.
        """

    def settings(self) -> dict[str, str]:
        """Settings of the control plane on this store."""

    def set_setting(self, name: str, value: str) -> None:
        """Change one setting."""

    def transaction(self) -> AbstractContextManager[None]:
        """A section that no other process interleaves with, where the backend can; nests.

        Where it cannot, this does nothing: callers must be correct without it.
        """

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """What the calls return, which may write; at the same time where the backend can, otherwise one by one."""

    def close(self) -> None:
        """Give back what the store holds open."""
