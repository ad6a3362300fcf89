"""The record of a deleted block: what was committed on its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.ledger import Entry
from privatekube.resources.wire import common
from privatekube.resources.wire.reader import Reader


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
            "initialBudget": common.budget_to_wire(self.initial_budget),
            "committedBudgetMap": common.budgets_to_wire(self.committed),
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
        initial = common.read_budget(body, "initialBudget")
        if initial is None:
            raise errors.CorruptData(f"store: the record of deleted data {digest} has no budget; restore a backup")
        committed = common.read_budgets(body, "committedBudgetMap")
        unsettled = tuple(Entry.from_json(dict(each.document), "") for each in body.children("unsettled"))
        return cls(dataset, digest, body.text("blockId"), initial, committed, unsettled)
