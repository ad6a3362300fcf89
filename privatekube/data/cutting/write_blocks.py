"""Write the blocks of records that were spilled, a few at a time as memory allows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data import declare
from privatekube.data.cutting import spill
from privatekube.data.cutting.job import Job
from privatekube.data.cutting.limits import MIB
from privatekube.data.cutting.read_parts import ShowShare
from privatekube.data.cutting.scratch import Scratch
from privatekube.data.cutting.workers import Workers
from privatekube.data.declare import DeclaredSlice, WrittenBlock
from privatekube.data.identify import HashesByDay
from privatekube.data.read_report import ReadReport
from privatekube.data.tables.rows import Encoded, none_of
from privatekube.storage import private_files, uris

_COPIES = 6
"""How many times the spilled bytes of a block are in memory while it is ordered, bounded and encoded."""

_GROUPS_EACH = 4
"""Into how many groups the blocks of each process are put at least, so that none waits long for the others."""

_OPENING_BYTES = 4096
"""Of records: writing them takes as long as opening a spilled file, and each group opens all of these."""


@dataclass(frozen=True)
class Blocks:
    """Blocks that follow each other and are loaded together.

    Args:
        first, last: their numbers, both inclusive.
        paths: where the records are.
        folder: where the hashes of records go.
    """

    first: int
    last: int
    paths: tuple[Path, ...]
    folder: Path


@dataclass(frozen=True)
class Written:
    """What became of a block.

    Args:
        block: its number.
        digest: of its content.
        kept, exact_copies: how many records of each file went into it, and were left out of it.
    """

    block: int
    digest: str
    kept: list[int]
    exact_copies: list[int]


def write_all(
    job: Job[Any],
    paths: Sequence[Path],
    workers: Workers[Job[Any]],
    scratch: Scratch,
    report: ReadReport,
    *,
    show: ShowShare,
) -> list[DeclaredSlice]:
    """Write all blocks but those that an earlier run wrote, and return their declarations.

    Raises:
        InvalidInput: one block needs more memory than there is.
        AlreadyExists: a file of that name has other data.
    """
    todo = [number for number in range(job.n_blocks) if not _is_written(job, scratch, number)]
    sizes = _sizes(job, paths)
    most = _workers_for(job, int(sizes[todo].max(initial=0)))
    enough = max(int(sizes[todo].sum()) // _GROUPS_EACH // most, len(paths) * _OPENING_BYTES)
    share = min(job.limits.memory_bytes // _COPIES // most, enough)
    groups = [
        Blocks(group[0], group[-1], tuple(paths), scratch.folder) for group in _groups(todo, sizes.tolist(), share)
    ]
    n_done = job.n_blocks - len(todo)
    with contextlib.closing(workers.map(write_group, groups, most=most)) as results:
        for group in results:
            for written in group:
                scratch.note(_name(written.block), vars(written))
            n_done += len(group)
            show(n_done / job.n_blocks)
    return [_declared(job, scratch, number, report) for number in range(len(job.slices))]


def write_group(job: Job[Any], blocks: Blocks) -> list[Written]:
    """Write some blocks."""
    none = none_of(job.schema)
    written = []
    for block, rows in enumerate(spill.load(blocks.paths, blocks.first, blocks.last, none=none), blocks.first):
        done, hashes = write_block(job, rows, block)
        _write_hashes(blocks.folder, block, hashes)
        written.append(done)
    return written


def write_block(job: Job[Any], rows: Encoded, block: int) -> tuple[Written, HashesByDay]:
    """Write a block of its records, in the order of their files; return what the identity of its slice needs, too."""
    kept = rows if job.declaration.keep_copies else rows.without_copies()
    days, bucket = job.place_of(block)
    written = declare.write_block(
        job.kind, job.kind.records(kept), days, bucket, job.declaration, owner_key=job.owner_key
    )
    n_read, n_kept = (np.bincount(one.file, minlength=len(job.locations)) for one in (rows, kept))
    return Written(block, written.digest, n_kept.tolist(), (n_read - n_kept).tolist()), written.hashes


def _name(block: int) -> str:
    return f"block-{block}"


def _is_written(job: Job[Any], scratch: Scratch, block: int) -> bool:
    return _name(block) in scratch.done and uris.exists(job.declaration.location_of(*job.place_of(block)))


def _sizes(job: Job[Any], paths: Sequence[Path]) -> npt.NDArray[np.int64]:
    """Return about how many bytes of records each block has, int64 [blocks]."""
    rows = spill.rows_by_block(paths, job.n_blocks)
    per_row = sum(path.stat().st_size for path in paths) / max(1, int(rows.sum()))
    return (rows * per_row).astype(np.int64)


def _workers_for(job: Job[Any], largest: int) -> int:
    """Return how many blocks fit into memory at once."""
    require_room(job, largest)
    return min(job.limits.workers, job.limits.memory_bytes // max(1, largest * _COPIES))


def require_room(job: Job[Any], n_bytes: int) -> None:
    """Refuse a block whose records have so many bytes that it does not fit into memory; the message has no size of it.

    Raises:
        InvalidInput: it does not fit.
    """
    if n_bytes * _COPIES > job.limits.memory_bytes:
        fault = "is too little for the largest block"
        remedy = "set more, more user buckets, or a shorter slice"
        raise errors.invalid("memory", f"{job.limits.memory_bytes // MIB}MiB", fault, remedy)


def _groups(blocks: Sequence[int], sizes: Sequence[int], most_bytes: int) -> Iterator[list[int]]:
    """Yield blocks that follow each other and fit into memory together, or one by itself."""
    group: list[int] = []
    for block in blocks:
        is_next = not group or block == group[-1] + 1
        if group and not (is_next and sum(sizes[one] for one in group) + sizes[block] <= most_bytes):
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _write_hashes(folder: Path, block: int, hashes: HashesByDay) -> None:
    days = np.repeat(np.array(list(hashes), np.int64).view(np.uint64), [len(of_day) for of_day in hashes.values()])
    image = io.BytesIO()
    np.save(image, np.stack([days, np.concatenate([np.empty(0, np.uint64), *hashes.values()])]))
    private_files.write(folder / f"{_name(block)}.npy", image.getvalue())


def _read_hashes(folder: Path, block: int) -> HashesByDay:
    days, hashes = np.load(folder / f"{_name(block)}.npy")
    return {day: hashes[days.view(np.int64) == day] for day in np.unique(days.view(np.int64)).tolist()}


def count(job: Job[Any], written: Written, report: ReadReport) -> None:
    """Count the records of a block."""
    for location, kept, copies in zip(job.locations, written.kept, written.exact_copies, strict=True):
        report.of(location).kept += kept
        report.of(location).exact_copies += copies


def _declared(job: Job[Any], scratch: Scratch, number: int, report: ReadReport) -> DeclaredSlice:
    """Return the declaration of a slice, all of whose blocks are written, and count its records."""
    blocks = []
    for bucket in range(job.declaration.n_buckets):
        block = number * job.declaration.n_buckets + bucket
        done = Written(**scratch.done[_name(block)])
        blocks.append(WrittenBlock(bucket, done.digest, _read_hashes(scratch.folder, block)))
        count(job, done, report)
    return declare.declared_slice(job.kind, blocks, job.slices[number], job.declaration, owner_key=job.owner_key)
