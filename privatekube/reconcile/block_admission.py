"""Blocks and claims come and go: no data is registered twice, and what was committed outlives its block."""

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
    """Register those of `blocks` that are not there yet, and return them; one transaction where the store has them.

    Data that was registered before and deleted starts from the record of what was committed on it: its first status,
    which says so, is the next pass's.

    Raises:
        AlreadyExists: all are there already, or a name, the same data or overlapping data is registered otherwise.
        InvalidBudget: the data is or was registered with another initial budget.
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
            record_of(store, block)
            created.append(store.create(replace(block, status=None)))
        return created


def remove(store: ResourceStore, block: PrivateDataBlock, *, now_ms: int) -> None:
    """Delete a block, keeping the record of what was committed on its data.

    Budget that claims acquired and did not settle counts as committed: nobody can prove that the data was not read.
    """
    with store.transaction():
        unsettled = tuple(ledger_entries.unsettled(block, now_ms))
        if block.status is not None:  # a block that was never admitted has nothing to add to an earlier record
            initial, committed = block.spec.initial_budget, transitions.charges(block)
            store.retire(
                RetiredData(block.spec.dataset, ledger.data_key(block), block.id, initial, committed, unsettled)
            )
        store.delete(block)
        for entry in unsettled:
            store.append(entry)


def record_of(store: ResourceStore, block: PrivateDataBlock) -> RetiredData | None:
    """The record of a block's data, from the time before it was deleted; None where there is none.

    Raises:
        InvalidBudget: the block declares another initial budget than its data had then.
    """
    record = store.retired(block.spec.dataset, ledger.data_key(block))
    if record is not None:
        _require_same_budget(block, record.initial_budget)
    return record


def admitted(blocks: Iterable[PrivateDataBlock]) -> dict[tuple[str, str], PrivateDataBlock]:
    """The blocks that have a status, by dataset and data."""
    return {(block.spec.dataset, ledger.data_key(block)): block for block in blocks if block.status is not None}


def require_admissible(
    store: ResourceStore, block: PrivateDataBlock, there: Mapping[tuple[str, str], PrivateDataBlock]
) -> RetiredData | None:
    """Check that a new block may be admitted beside those that are `admitted`; the record of its data, if any.

    Raises:
        AlreadyExists: its data has a block, and so a budget, already.
        InvalidBudget: see `record_of`.
    """
    other = there.get((block.spec.dataset, ledger.data_key(block)))
    if other is not None:
        raise _registered_as(block, other)
    return record_of(store, block)


def _registered_as(block: PrivateDataBlock, other: PrivateDataBlock) -> errors.AlreadyExists:
    return errors.AlreadyExists(
        f"block {block.id}: the same data is registered as {other.id}, and a budget is never refreshed; use that block"
    )


def _require_same_budget(block: PrivateDataBlock, before: PrivacyBudget) -> None:
    if not budget.is_close(before, block.spec.initial_budget):
        raise errors.InvalidBudget(
            f"block {block.id}: its data has the budget {before}, asked {block.spec.initial_budget}; "
            "a budget is for the data's whole life: create it with the same"
        )


def _is_registered(block: PrivateDataBlock, there: Iterable[PrivateDataBlock]) -> bool:
    """Whether this very block, same name and same data, is there.

    Raises:
        InvalidBudget: it is, with another initial budget.
    """
    for other in there:
        if other.id == block.id and other.spec.dataset == block.spec.dataset and _same_data(other, block):
            _require_same_budget(block, other.spec.initial_budget)
            return True
    return False


def _same_data(one: PrivateDataBlock, other: PrivateDataBlock) -> bool:
    return one.content_digest is not None and one.content_digest == other.content_digest


def _require_new(block: PrivateDataBlock, there: Iterable[PrivateDataBlock]) -> None:
    for other in there:
        if other.spec.dataset == block.spec.dataset and _same_data(other, block):
            raise _registered_as(block, other)
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
    return None in [*counts, *buckets] or counts[0] != counts[1] or buckets[0] == buckets[1]


def _number(block: PrivateDataBlock, attribute: str) -> Decimal | None:
    dimension = block.dimension(attribute)
    return None if dimension is None or dimension.numeric_value is None else Decimal(dimension.numeric_value)
