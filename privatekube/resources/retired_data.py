"""The record of deleted data: what was committed on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.ledger import Entry
from privatekube.resources.wire import common
from privatekube.resources.wire.reader import Reader


@dataclass(frozen=True, slots=True)
class RetiredData:
    """What remains of a deleted block: the budget that was committed on its data.

    Args:
        dataset: of the block.
        digest: of its data.
        block_id: id of the last block that held the data.
        initial_budget: the lifetime budget of the data.
        committed: by claim id.
        unsettled: ledger entries of what claims held when the block was deleted; part of `committed`.
        declared: what the block declared about its data; None in a record of an earlier version.
    """

    dataset: str
    digest: str
    block_id: str
    initial_budget: PrivacyBudget
    committed: Mapping[str, PrivacyBudget]
    unsettled: tuple[Entry, ...] = ()
    declared: DeclaredData | None = None

    @property
    def total(self) -> PrivacyBudget:
        """All that was committed on the data."""
        return arithmetic.total(self.committed.values(), start=self.initial_budget * 0.0)

    def to_json(self) -> str:
        """Return the text that a store keeps under dataset and digest."""
        budgets = {
            "initialBudget": common.budget_to_wire(self.initial_budget),
            "committedBudgetMap": common.budgets_to_wire(self.committed),
        }
        declared = {} if self.declared is None else {"declared": self.declared.to_json()}
        unsettled = [entry.to_json() for entry in self.unsettled]
        return json.dumps({"blockId": self.block_id, **budgets, "unsettled": unsettled, **declared})

    def holds_more_than(self, other: RetiredData) -> bool:
        """Return whether more is committed here than in `other`, at some component or order."""
        return not arithmetic.is_close(self.total, other.total) and any(
            v > 0 for v in (self.total - other.total).values
        )

    @classmethod
    def from_json(cls, dataset: str, digest: str, text: str) -> RetiredData:
        """Read what `to_json` wrote.

        Raises:
            CorruptData: it cannot be read, or has no budget.
        """
        try:
            return cls._from_reader(dataset, digest, Reader(json.loads(text), "retired"))
        except errors.CorruptData:
            raise
        except (ValueError, RecursionError, TypeError, AttributeError, errors.InvalidInput) as error:
            raise errors.CorruptData(
                f"store: the record of deleted data {digest} cannot be read ({error}); restore a backup"
            ) from error

    @classmethod
    def _from_reader(cls, dataset: str, digest: str, body: Reader) -> RetiredData:
        initial = common.read_budget(body, "initialBudget")
        if initial is None:
            raise errors.CorruptData(f"store: the record of deleted data {digest} has no budget; restore a backup")
        committed = common.read_budgets(body, "committedBudgetMap")
        unsettled = tuple(Entry.from_fields(fields, "") for fields in body.children("unsettled"))
        declared = DeclaredData.from_json(body.child("declared")) if "declared" in body else None
        return cls(dataset, digest, body.text("blockId"), initial, committed, unsettled, declared)
