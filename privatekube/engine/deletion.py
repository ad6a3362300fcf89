"""Delete blocks: what was committed on their data is recorded, and outlives them."""

from __future__ import annotations

from collections.abc import Iterator

from privatekube.engine import ledger_entries
from privatekube.engine.changes import Deletion, LedgerEntry, Retirement, Write
from privatekube.engine.draft import Draft
from privatekube.resources import ledger, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData


def delete_blocks(draft: Draft) -> None:
    """Delete each block that is marked for deletion."""
    for block in list(draft.blocks.values()):
        if block.meta.is_deleted:
            with draft.isolated_block(block.id):
                delete(draft, block)


def delete(draft: Draft, block: PrivateDataBlock) -> None:
    """Delete a block, and record what was committed on its data.

    Budget that claims acquired and did not settle counts as committed: nobody can prove that the data was not read.
    """
    unsettled = tuple(ledger_entries.unsettled_entries(block, draft.claim, draft.now_ms))
    for change in _changes(block, unsettled):
        draft.add(change)
    draft.drop_block(block.id)


def _changes(block: PrivateDataBlock, unsettled: tuple[Entry, ...]) -> Iterator[Write]:
    if block.status is not None:  # a block that was never admitted has nothing to add to an earlier record
        initial, committed = block.spec.initial_budget, transitions.charges(block)
        place = (block.spec.dataset, ledger.data_key(block), block.id)
        yield Retirement(RetiredData(*place, initial, committed, unsettled, DeclaredData.of(block)))
    yield Deletion(block)
    yield from map(LedgerEntry, unsettled)
