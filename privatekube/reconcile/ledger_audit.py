"""Whether the ledger is whole, and adds up to what the blocks say was committed."""

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
    """A ledger that is whole: how many entries it has, on how many blocks' data, and the digest of the last.

    Note the digest elsewhere: a ledger that somebody writes anew has another.
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
        admitted = block_admission.admitted(store.list_blocks())
        for data, block in admitted.items():
            _require_equal(block.id, _committed(block, by_data.get(data, [])), by_data.get(data, []))
        for record in store.list_retired():
            data = (record.dataset, record.digest)
            if data not in admitted:
                own = by_data.get(data, [])
                _require_equal(record.block_id, list(record.committed.values()), [*own, *_missing(record, own)])
    return Audit(len(entries), len(by_data), entries[-1].digest if entries else ledger.GENESIS)


def _committed(block: PrivateDataBlock, own: Iterable[Entry]) -> list[PrivacyBudget]:
    """What a block says was committed, and what it is about to commit that the ledger has already."""
    entered = {entry.request for entry in own if entry.block == block.id}
    half_done = [
        lock.acquired
        for request, lock in transitions.unfinished_locks(block).items()
        if lock.state is LockState.COMMITTING and request in entered and lock.acquired is not None
    ]
    return [*transitions.status_of(block).committed.values(), *half_done]


def _missing(record: RetiredData, own: Iterable[Entry]) -> list[Entry]:
    """What the deletion of a block did not get to enter."""
    entered = {entry.identity for entry in own}
    return [entry for entry in record.unsettled if entry.identity not in entered]


def _require_equal(block_id: str, committed: list[PrivacyBudget], own: list[Entry]) -> None:
    amounts = [entry.amount for entry in own]
    said = budget.total(committed[1:], start=committed[0]) if committed else None
    entered = budget.total(amounts[1:], start=amounts[0]) if amounts else None
    if said is entered is None:
        return
    if said is None or entered is None or not budget.is_close(said, entered):
        raise errors.CorruptData(
            f"ledger: block {block_id} says that {said or 'nothing'} is committed, the ledger {entered or 'nothing'}; "
            "one of them was changed: restore a backup, and find out who wrote to the store"
        )
