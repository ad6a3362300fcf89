"""Create and delete blocks: no data gets a second budget, and what was committed on it outlives its block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import ledger_entries
from privatekube.resources import ledger, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.retired_data import RetiredData
from privatekube.store.base import ResourceStore


def register(store: ResourceStore, blocks: Sequence[PrivateDataBlock]) -> list[PrivateDataBlock]:
    """Create those of `blocks` that do not exist yet, and return them; in one transaction if the store supports them.

    Data whose earlier block was deleted starts from the record of what was committed on it: the next pass writes that
    into the block's first status.

    Raises:
        AlreadyExists: all exist already, or a name, the same data or overlapping data belongs to another block.
        InvalidBudget: the data has or had another initial budget.
    """
    with store.transaction():
        existing = store.list_blocks()
        missing = [block for block in blocks if not _exists(block, existing)]
        if blocks and not missing:
            raise errors.AlreadyExists(
                f"block {blocks[0].id}: its data is registered already, and a budget is never refreshed; "
                "create other days, or use what is left: privatekube get blocks"
            )
        created: list[PrivateDataBlock] = []
        for block in missing:
            _require_new(block, [*existing, *created])
            record_of(store, block)
            created.append(store.create(replace(block, status=None)))
        return created


def remove(store: ResourceStore, block: PrivateDataBlock, *, now_ms: int) -> None:
    """Delete a block, and record what was committed on its data.

    Budget that claims acquired and did not settle counts as committed: nobody can prove that the data was not read.
    """
    with store.transaction():
        unsettled = tuple(ledger_entries.unsettled_entries(block, now_ms))
        if block.status is not None:  # a block that was never admitted has nothing to add to an earlier record
            initial, committed = block.spec.initial_budget, transitions.charges(block)
            store.retire(
                RetiredData(block.spec.dataset, ledger.data_key(block), block.id, initial, committed, unsettled)
            )
        store.delete(block)
        for entry in unsettled:
            store.append(entry)


def record_of(store: ResourceStore, block: PrivateDataBlock) -> RetiredData | None:
    """Return the record of what was committed on a block's data under an earlier block; None if it had none.

    Raises:
        InvalidBudget: the block declares another initial budget than its data had then.
    """
    record = store.retired(block.spec.dataset, ledger.data_key(block))
    if record is not None:
        _require_same_budget(block, record.initial_budget)
    return record


def admitted_by_data(blocks: Iterable[PrivateDataBlock]) -> dict[tuple[str, str], PrivateDataBlock]:
    """Return the blocks that have a status, by dataset and data key."""
    return {(block.spec.dataset, ledger.data_key(block)): block for block in blocks if block.status is not None}


def require_admissible(
    store: ResourceStore, block: PrivateDataBlock, admitted: Mapping[tuple[str, str], PrivateDataBlock]
) -> RetiredData | None:
    """Check that a new block may be admitted, and return the record of its data as `record_of` does.

    Args:
        store: holds the records.
        block: the new block.
        admitted: the admitted blocks, see `admitted_by_data`.

    Raises:
        AlreadyExists: its data already has a block, and so a budget.
        InvalidBudget: see `record_of`.
    """
    other = admitted.get((block.spec.dataset, ledger.data_key(block)))
    if other is not None:
        raise _duplicate_data(block, other)
    return record_of(store, block)


def _duplicate_data(block: PrivateDataBlock, other: PrivateDataBlock) -> errors.AlreadyExists:
    return errors.AlreadyExists(
        f"block {block.id}: the same data is registered as {other.id}, and a budget is never refreshed; use that block"
    )


def _require_same_budget(block: PrivateDataBlock, before: PrivacyBudget) -> None:
    if not budget.is_close(before, block.spec.initial_budget):
        raise errors.InvalidBudget(
            f"block {block.id}: its data has the budget {before}, asked {block.spec.initial_budget}; "
            "a budget is for the data's whole lifetime: create it with the same"
        )


def _exists(block: PrivateDataBlock, existing: Iterable[PrivateDataBlock]) -> bool:
    """Whether a block of the same name and the same data exists.

    Raises:
        InvalidBudget: it exists with another initial budget.
    """
    for other in existing:
        if other.id == block.id and other.spec.dataset == block.spec.dataset and _is_same_data(other, block):
            _require_same_budget(block, other.spec.initial_budget)
            return True
    return False


def _is_same_data(block: PrivateDataBlock, other: PrivateDataBlock) -> bool:
    return block.content_digest is not None and block.content_digest == other.content_digest


def _require_new(block: PrivateDataBlock, existing: Iterable[PrivateDataBlock]) -> None:
    for other in existing:
        if other.spec.dataset == block.spec.dataset and _is_same_data(other, block):
            raise _duplicate_data(block, other)
        if other.id == block.id:
            raise errors.AlreadyExists(
                f"block {block.id}: exists with other data; use another --dataset or --namespace, or delete it first"
            )
        if other.meta.namespace == block.meta.namespace and _may_overlap(block, other):
            raise errors.AlreadyExists(
                f"block {block.id}: its days and users overlap those of {other.id} in dataset "
                f"{block.spec.dataset!r}, so the same records would get a second budget; use another --dataset"
            )


def _may_overlap(block: PrivateDataBlock, other: PrivateDataBlock) -> bool:
    """Whether two blocks of a dataset may hold the same records, according to their dimensions."""
    if block.spec.dataset != other.spec.dataset:
        return False
    start, end = _number(block, "startTime"), _number(block, "endTime")
    other_start, other_end = _number(other, "startTime"), _number(other, "endTime")
    if start is None or end is None or other_start is None or other_end is None:
        return False
    if end < other_start or other_end < start:
        return False
    counts = [_number(block, "userBuckets"), _number(other, "userBuckets")]
    buckets = [_number(block, "userBucket"), _number(other, "userBucket")]
    return None in [*counts, *buckets] or counts[0] != counts[1] or buckets[0] == buckets[1]


def _number(block: PrivateDataBlock, attribute: str) -> Decimal | None:
    dimension = block.dimension(attribute)
    return None if dimension is None or dimension.numeric_value is None else Decimal(dimension.numeric_value)
