"""The datasets of a store: how much is left of each, its heat map, and when it runs out."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from privatekube.forecast.depletion import Depletion
from privatekube.page.snapshot import Snapshot
from privatekube.page.views import wording
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.remaining import Remaining

MOST_COLUMNS, MOST_ROWS = 60, 40
"""How many times and buckets a heat map shows at once."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One block in a heat map.

    Args:
        column: from the left, from 0; `row` from the top likewise.
        block: its id.
        left: what is left of it.
        label: all of it in words.
    """

    column: int
    row: int
    block: str
    left: Remaining
    label: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The blocks of a dataset by time and bucket of users.

    Args:
        columns: the times in words.
        rows: the buckets in words.
        cells: one for each block that is shown.
        part: the number of the shown part, from 1 for the latest times.
        parts: how many parts there are.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[Cell, ...]
    part: int
    parts: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """The blocks of one dataset in one namespace, together.

    Args:
        namespace: of the blocks.
        name: of the dataset.
        n_blocks: how many it has.
        left: the mean share that is left of its blocks.
        least: the block of which least is left, and what that is.
        first_out: when the first block runs out.
        all_out: when nothing is left of any, if what is left together is spent at the rate of all together.
    """

    namespace: str
    name: str
    n_blocks: int
    left: float
    least: tuple[str, Remaining]
    first_out: Depletion
    all_out: Depletion


def datasets(snapshot: Snapshot) -> list[Dataset]:
    """Return all datasets, by namespace and name."""
    return [dataset(snapshot, *key) for key in snapshot.datasets]


def dataset(snapshot: Snapshot, namespace: str, name: str) -> Dataset:
    """Return one dataset, which has at least one block."""
    blocks, (first_out, all_out) = snapshot.datasets[namespace, name], snapshot.run_outs[namespace, name]
    shares = [(snapshot.left[block.id].share, block.id) for block in blocks]
    _, least = min(shares)
    return Dataset(
        namespace=namespace,
        name=name,
        n_blocks=len(blocks),
        left=statistics.fmean(share for share, _ in shares),
        least=(least, snapshot.left[least]),
        first_out=first_out,
        all_out=all_out,
    )


def heat_map(snapshot: Snapshot, blocks: Sequence[PrivateDataBlock], *, part: int = 1) -> HeatMap:
    """Return a part of the heat map of a dataset; blocks without days are in a column of their own.

    Args:
        snapshot: of the store.
        blocks: of the dataset.
        part: 1 for the latest times, 2 for those before, and so on.
    """
    places = {block.id: _place(block) for block in blocks}
    times = sorted({time for time, _ in places.values()}, key=_time_order)
    buckets = sorted({bucket for _, bucket in places.values()})[:MOST_ROWS]
    parts = max(1, -(-len(times) // MOST_COLUMNS))
    chosen = min(max(1, part), parts)
    end = len(times) - (chosen - 1) * MOST_COLUMNS
    shown = times[max(0, end - MOST_COLUMNS) : end]
    column_of, row_of = ({key: place for place, key in enumerate(keys)} for keys in (shown, buckets))
    cells = [
        Cell(column_of[time], row_of[bucket], block.id, snapshot.left[block.id], _label(block, snapshot))
        for block in blocks
        for time, bucket in [places[block.id]]
        if time in column_of and bucket in row_of
    ]
    return HeatMap(
        tuple(map(_time_text, shown)), tuple(f"bucket {row:g}" for row in buckets), tuple(cells), chosen, parts
    )


_Time = tuple[Decimal, Decimal] | None


def _place(block: PrivateDataBlock) -> tuple[_Time, Decimal]:
    declared = DeclaredData.of(block)
    bucket = declared.bucket
    return declared.days, Decimal(0) if bucket is None else bucket[0]


def _time_order(time: _Time) -> tuple[bool, _Time]:
    return time is None, time or (Decimal(0), Decimal(0))


@functools.lru_cache(maxsize=65536)
def _time_text(time: _Time) -> str:
    if time is None:
        return "no days declared"
    return wording.day(time[0]) if time[0] == time[1] else f"{wording.day(time[0])} to {wording.day(time[1])}"


def _label(block: PrivateDataBlock, snapshot: Snapshot) -> str:
    return f"{block.id}, {_time_text(DeclaredData.of(block).days)}: {snapshot.left[block.id]} left"
