"""Blocks and claims come and go: no data is registered twice, and what was committed outlives its block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from privatekube import errors
from privatekube.privacy import budget
from privatekube.resources import moves
from privatekube.resources.block import PrivateDataBlock
from privatekube.store.base import ResourceStore, RetiredData


def register(store: ResourceStore, blocks: Sequence[PrivateDataBlock]) -> list[PrivateDataBlock]:
    """Register those of `blocks` that are not there yet, and return them; one transaction where the store has them.

    Data that was registered before and deleted starts from the record of what was committed on it.

    Raises:
        AlreadyExists: all are there already, or a name, the same data or overlapping data is registered otherwise.
        InvalidBudget: deleted data comes back with another initial budget.
    """
    with store.transaction():
        there = store.list_blocks()
        missing = [block for block in blocks if not _is_registered(block, there)]
        if blocks and not missing:
            raise errors.AlreadyExists(
                f"block {blocks[0].id}: its data is registered already, and a budget is never refreshed; "
                "create other days, or use what is left: privatekube get blocks"
            )
        created: list[PrivateDataBlock] = []
        for block in missing:
            _require_new(block, [*there, *created])
            created.append(_created(store, block))
        return created


def remove(store: ResourceStore, block: PrivateDataBlock) -> None:
    """Delete a block, keeping the record of what was committed on its data.

    Budget that claims acquired and did not settle counts as committed: nobody can prove that the data was not read.
    """
    with store.transaction():
        if block.content_digest is not None:
            committed = dict(block.status.committed) if block.status else {}
            for claim_id, amount in (block.status.acquired if block.status else {}).items():
                committed[claim_id] = committed[claim_id] + amount if claim_id in committed else amount
            for request_id, lock in (block.status.locks if block.status else {}).items():
                if lock.acquired is not None and lock.state in moves.HOLDING:
                    claim_id = request_id.rpartition("/")[0]
                    before = committed.get(claim_id)
                    committed[claim_id] = lock.acquired if before is None else before + lock.acquired
            initial = block.spec.initial_budget
            store.retire(RetiredData(block.spec.dataset, block.content_digest, block.id, initial, committed))
        store.delete(block)


def _created(store: ResourceStore, block: PrivateDataBlock) -> PrivateDataBlock:
    """Create a block; its first status, which starts from the record, is the next pass's (`recovery.admit`)."""
    digest = block.content_digest
    record = None if digest is None else store.retired(block.spec.dataset, digest)
    if record is None:
        return store.create(replace(block, status=None))
    if not budget.is_close(record.initial_budget, block.spec.initial_budget):
        raise errors.InvalidBudget(
            f"block {block.id}: its data was registered with {record.initial_budget} before, asked "
            f"{block.spec.initial_budget}; a budget is for the data's whole life: create it with the same"
        )
    return store.create(replace(block, status=None))


def _is_registered(block: PrivateDataBlock, there: Iterable[PrivateDataBlock]) -> bool:
    """Whether this very block, same name and same data, is there."""
    return any(
        other.id == block.id and other.spec.dataset == block.spec.dataset and _same_data(other, block)
        for other in there
    )


def _same_data(one: PrivateDataBlock, other: PrivateDataBlock) -> bool:
    return one.content_digest is not None and one.content_digest == other.content_digest


def _require_new(block: PrivateDataBlock, there: Iterable[PrivateDataBlock]) -> None:
    for other in there:
        if other.spec.dataset == block.spec.dataset and _same_data(other, block):
            raise errors.AlreadyExists(
                f"block {block.id}: the same data is registered as {other.id}, and a budget is never refreshed; "
                "use that block"
            )
        if other.id == block.id:
            raise errors.AlreadyExists(
                f"block {block.id}: exists with other data; use another --dataset or --namespace, or delete it first"
            )
        if other.meta.namespace == block.meta.namespace and _overlap(block, other):
            raise errors.AlreadyExists(
                f"block {block.id}: its days and users overlap those of {other.id} in dataset "
                f"{block.spec.dataset!r}, so the same reviews would get a second budget; use another --dataset"
            )


def _overlap(one: PrivateDataBlock, other: PrivateDataBlock) -> bool:
    """Whether two blocks of a dataset may hold the same reviews, by the dimensions they state."""
    if one.spec.dataset != other.spec.dataset:
        return False
    days = [(_number(each, "startTime"), _number(each, "endTime")) for each in (one, other)]
    (start, end), (other_start, other_end) = days
    if start is None or end is None or other_start is None or other_end is None:
        return False
    if end < other_start or other_end < start:
        return False
    counts, buckets = [[_number(each, name) for each in (one, other)] for name in ("userBuckets", "userBucket")]
    return not (counts[0] == counts[1] and None not in buckets and buckets[0] != buckets[1])


def _number(block: PrivateDataBlock, attribute: str) -> Decimal | None:
    dimension = block.dimension(attribute)
    try:
        return None if dimension is None or dimension.numeric_value is None else Decimal(dimension.numeric_value)
    except InvalidOperation as error:
        raise errors.invalid(
            f"{attribute} of {block.id}", dimension, "is no decimal number", "write it like '12'"
        ) from error
