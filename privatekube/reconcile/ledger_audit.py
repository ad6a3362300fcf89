"""Check that the ledger is complete and adds up to what the blocks record as committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import block_admission
from privatekube.resources import ledger, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData
from privatekube.store.base import ResourceStore


@dataclass(frozen=True, slots=True)
class Audit:
    """The result for a ledger that is complete.

    Args:
        entries: number of entries.
        data: number of blocks on whose data the entries are.
        digest: of the last entry. Keep it outside the store: a ledger that was rewritten has another digest.
    """

    entries: int
    data: int
    digest: str


def verify(store: ResourceStore) -> Audit:
    """Check the ledger's chain, and its totals against the blocks and the records of deleted data.

    Raises:
        CorruptData: names the entry, or the block with both totals.
    """
    with store.transaction():
        entries = list(ledger.require_chain(store.ledger()))
        by_data: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            by_data.setdefault((entry.dataset, entry.data), []).append(entry)
        admitted = block_admission.admitted_by_data(store.list_blocks())
        for data, block in admitted.items():
            _require_equal(block.id, _committed_amounts(block, by_data.get(data, [])), by_data.get(data, []))
        for record in store.list_retired():
            data = (record.dataset, record.digest)
            if data not in admitted:
                _require_record(record, by_data.get(data, []))
    return Audit(len(entries), len(by_data), entries[-1].digest if entries else ledger.GENESIS)


def _committed_amounts(block: PrivateDataBlock, entries: Iterable[Entry]) -> list[PrivacyBudget]:
    """Return what a block records as committed, and what its locks will commit that is in the ledger already."""
    entered = {entry.request for entry in entries if entry.block == block.id}
    unfinished = [
        lock.acquired
        for request_id, lock in transitions.unfinished_locks(block).items()
        if lock.state is LockState.COMMITTING and request_id in entered and lock.acquired is not None
    ]
    return [*transitions.status_of(block).committed.values(), *unfinished]


def _require_record(record: RetiredData, entries: list[Entry]) -> None:
    """Check the record of a deleted block's data; an interrupted deletion may not have entered all of it yet."""
    entered = {entry.identity for entry in entries}
    missing = [entry for entry in record.unsettled if entry.identity not in entered]
    _require_equal(record.block_id, list(record.committed.values()), [*entries, *missing])


def _require_equal(block_id: str, committed: list[PrivacyBudget], entries: list[Entry]) -> None:
    in_block, in_ledger = _total(committed), _total([entry.amount for entry in entries])
    if in_block is None and in_ledger is None:
        return
    if in_block is None or in_ledger is None or not budget.is_close(in_block, in_ledger):
        raise errors.CorruptData(
            f"ledger: block {block_id} says that {in_block or 'nothing'} is committed, the ledger says "
            f"{in_ledger or 'nothing'}; one of them was changed: restore a backup, and find out who wrote to the store"
        )


def _total(amounts: list[PrivacyBudget]) -> PrivacyBudget | None:
    return budget.total(amounts[1:], start=amounts[0]) if amounts else None
