"""Check that the ledger is complete, and that the budget of every block adds up, within itself and with the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from privatekube import errors
from privatekube.engine import earlier_data, ledger_entries
from privatekube.engine.catalogue import Catalogue
from privatekube.privacy import arithmetic, budget_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import block_audit, read_world
from privatekube.resources import ledger, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.data_identity import Overlap
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
        is_compared: whether blocks were compared by their data; in a cluster, a viewer may not read the identities.
    """

    entries: int
    data: int
    digest: str
    is_compared: bool = True


def verify(store: ResourceStore) -> Audit:
    """Check the ledger's chain, its totals against the blocks and the records of deleted data, and both per data.

    Per block: its parts add up to its initial budget, in every component or at every order.
    Per data: no block that may hold records of a deleted block says that less was committed than the record of that
    one, no two blocks with budget may hold the same records, and what the ledger has is on a block or a record.

    Raises:
        CorruptData: names the block, claim, record or entry that cannot be read, the entry that does not follow, the
            block with both totals or what does not add up, or two blocks.
    """
    with store.transaction():
        for stored in store.unreadable():
            raise errors.CorruptData(f"{stored.name}: cannot be read ({stored.error}); restore a backup")
        entries = list(ledger.require_chain(store.ledger()))
        by_data: dict[tuple[str, str], list[Entry]] = {}
        for entry in ledger.amounts(entries):
            by_data.setdefault((entry.dataset, entry.data), []).append(entry)
        blocks, records = store.list_blocks(), store.list_retired()
        admitted = {_data_of(block): block for block in blocks if block.status is not None}
        for block in blocks:
            if block.status is not None:
                block_audit.require_invariant(block)
        for data, block in admitted.items():
            _require_equal(block.id, _committed_amounts(block, by_data.get(data, [])), by_data.get(data, []))
        for record in records:
            data = (record.dataset, record.digest)
            if data not in admitted:
                _require_record(record, by_data.get(data, []))
        _require_known(by_data, {*map(_data_of, blocks), *((record.dataset, record.digest) for record in records)})
        try:
            _require_one_budget(store, blocks)
            is_compared = True
        except errors.NotServed:
            is_compared = False
    return Audit(len(entries), len(by_data), entries[-1].digest if entries else ledger.GENESIS, is_compared)


def _data_of(block: PrivateDataBlock) -> tuple[str, str]:
    return block.spec.dataset, ledger.data_key(block)


def _require_known(by_data: Mapping[tuple[str, str], list[Entry]], known: Set[tuple[str, str]]) -> None:
    """Check that all data of the ledger still has a block or a record."""
    for data, entries in by_data.items():
        if data not in known:
            raise errors.CorruptData(
                f"ledger: budget was committed on block {entries[-1].block}, which has neither a block nor a record "
                "any more; one of them was removed: restore a backup, and find out who wrote to the store"
            )


def _require_one_budget(store: ResourceStore, blocks: list[PrivateDataBlock]) -> None:
    """Check that no data has a second budget beside or after its first one."""
    catalogue = Catalogue.of_admitted(blocks, read_world.earlier_records(store, blocks))
    for block in blocks:
        for match in catalogue.matches(block) if block.status is not None else ():
            if match.overlap is Overlap.SAME and not _is_charged(block, match.earlier):
                raise errors.CorruptData(
                    f"ledger: block {block.id} has data of {_name_of(match.earlier)}, but not what was committed "
                    "there: its budget was refreshed; claim nothing on it, and find out who wrote to the store"
                )


def _is_charged(block: PrivateDataBlock, earlier: PrivateDataBlock | RetiredData) -> bool:
    """Return whether a block bears what was committed on an earlier one with the same data."""
    if isinstance(earlier, PrivateDataBlock):
        return False
    nothing = earlier.initial_budget * 0.0
    if not earlier_data.exceeds(earlier.total, nothing):
        return True
    if earlier.declared is None and earlier.digest != ledger.data_key(block):
        return True  # an earlier version deleted it, and did not record its days
    if type(earlier.initial_budget) is not type(block.spec.initial_budget):
        return False
    charged = arithmetic.total(transitions.charges(block).values(), start=block.spec.initial_budget * 0.0)
    return not earlier_data.exceeds(earlier.total, charged)


def _name_of(earlier: PrivateDataBlock | RetiredData) -> str:
    return earlier.id if isinstance(earlier, PrivateDataBlock) else f"the deleted block {earlier.block_id}"


def _committed_amounts(block: PrivateDataBlock, entries: Iterable[Entry]) -> list[PrivacyBudget]:
    """Return what a block records as committed, and what its locks will commit that is in the ledger already."""
    entered = {entry.identity for entry in entries}
    unfinished = [
        lock.acquired
        for request_id, lock in transitions.unfinished_locks(block).items()
        if lock.state is LockState.COMMITTING
        and lock.acquired is not None
        and ledger_entries.lock_identity(block, lock.owner, request_id) in entered
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
    if in_block is None or in_ledger is None or not arithmetic.is_close(in_block, in_ledger):
        recorded, entered = budget_text.differing(in_block, in_ledger)
        raise errors.CorruptData(
            f"ledger: block {block_id} says that {recorded} is committed, the ledger says {entered}; "
            "one of them was changed: restore a backup, and find out who wrote to the store"
        )


def _total(amounts: list[PrivacyBudget]) -> PrivacyBudget | None:
    return arithmetic.total(amounts[1:], start=amounts[0]) if amounts else None
