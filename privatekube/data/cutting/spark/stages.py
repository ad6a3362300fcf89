"""What the machines of a Spark cluster do: functions from batches of rows to batches of rows, without Spark.

An error of this library is a value here, the outcome of a part or a block: so it is not tried again, and none of it is
in the logs of the machines. Any other error loses its message, which may quote the data.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from privatekube import entrypoint, errors
from privatekube.data import identify
from privatekube.data.cutting import read_parts, write_blocks
from privatekube.data.cutting.job import Job, tools_of
from privatekube.data.cutting.spark import columns
from privatekube.data.cutting.write_blocks import Written
from privatekube.data.identify import HashesByDay
from privatekube.data.tables import files
from privatekube.data.tables.arrow_files import ArrowPiece
from privatekube.data.tables.reading import Found
from privatekube.data.tables.rows import Encoded, none_of
from privatekube.storage import uris

Batches = Iterator[pa.RecordBatch]
SLICE = "slice"
_OUTCOME = (columns.OUTCOME, pa.binary())
PIECES = pa.schema([("file", pa.int32()), ("number", pa.int64()), _OUTCOME])
BLOCKS = pa.schema([(SLICE, pa.int32()), _OUTCOME])
SLICES = BLOCKS


@dataclass(frozen=True, repr=False)
class Read:
    """What became of a part of a file.

    Args:
        file: its number.
        number: of the part.
        found: what was found, or the error.
    """

    file: int
    number: int
    found: Found | errors.PrivateKubeError


@dataclass(frozen=True, repr=False)
class WrittenSlice:
    """What became of a slice.

    Args:
        number: of the slice.
        blocks: what became of each of its blocks, in their order.
        hashes: what its identity needs.
    """

    number: int
    blocks: list[Written]
    hashes: HashesByDay


@functools.lru_cache(maxsize=1)
def job_of(image: bytes) -> Job[Any]:
    """Return the job of this process, made once: its vocabularies are read once, too."""
    job = pickle.loads(image)  # noqa: S301 - the command made it
    assert isinstance(job, Job)  # noqa: S101 - for the types
    return job


def unpickled(outcome: bytes) -> Any:
    """Return an outcome, which a task of the same command made."""
    return pickle.loads(outcome)  # noqa: S301


def cut_files(job: Job[Any], batches: Batches) -> Batches:
    """Cut files into parts.

    Args:
        job: what is cut.
        batches: the numbers of files.

    Returns:
        Rows of `PIECES`.
    """
    for batch in batches:
        for file in batch.column(0).to_pylist():
            for number, piece in enumerate(_pieces(job, file)):
                yield _row(PIECES, file, number, piece)


def read_pieces(job: Job[Any], batches: Batches) -> Batches:
    """Read parts of files.

    Args:
        job: what is cut.
        batches: rows of `PIECES`.

    Returns:
        Records and outcomes; see `columns`.
    """
    for batch in batches:
        for row in range(len(batch)):
            file, number = (batch.column(place)[row].as_py() for place in (0, 1))
            yield from _read(job, file, number, unpickled(batch.column(2)[row].as_py()))


def write_block(job: Job[Any], block: int, batches: Batches) -> Batches:
    """Write a block.

    Args:
        job: what is cut.
        block: its number.
        batches: its records, in any order, and a row without one.

    Returns:
        A row of `BLOCKS`.
    """
    outcome = _outcome(lambda: _write(job, block, batches))
    yield _row(BLOCKS, block // job.declaration.n_buckets, outcome)


def gather_slice(job: Job[Any], number: int, batches: Batches) -> Batches:  # noqa: ARG001 - as all actions on a group
    """Put together what became of the blocks of a slice.

    Args:
        job: what is cut.
        number: of the slice.
        batches: rows of `BLOCKS`, of all its blocks.

    Returns:
        A row of `SLICES`.
    """
    yield _row(SLICES, number, _outcome(lambda: _gather(number, batches)))


def _pieces(job: Job[Any], file: int) -> Iterator[object]:
    """Yield the parts of a file, and at the end the error that ends it."""
    location = job.locations[file]
    wanted = tools_of(job).reader.wanted(location)
    is_whole = files.format_of(wanted).is_mapped and not uris.is_local(location)  # each part would fetch the file

    def cut() -> Iterator[object]:
        with uris.local_copy(location) as path:
            yield from files.pieces(path, wanted, most_bytes=sys.maxsize if is_whole else job.limits.piece_bytes)

    yield from _until_error(cut())


def _read(job: Job[Any], file: int, number: int, piece: Any) -> Batches:
    """Yield the records of a part, and what became of it."""
    found = Found()

    def read() -> Iterator[pa.RecordBatch]:
        with _here(piece, job.locations[file]) as part:
            for turn, rows in enumerate(tools_of(job).reader.rows(part, job.locations[file], found)):
                encoded = read_parts.encoded(job, rows, file)
                yield columns.of_records(encoded, job.block_of(encoded.user, encoded.time), (file, number, turn))

    outcome: Found | errors.PrivateKubeError = found
    for batch in [piece] if isinstance(piece, errors.PrivateKubeError) else _until_error(read()):
        if isinstance(batch, errors.PrivateKubeError):
            outcome = batch
        else:
            yield batch
    yield columns.of_outcome(pickle.dumps(Read(file, number, outcome)))


@contextlib.contextmanager
def _here(piece: Any, location: str) -> Iterator[Any]:
    """Yield a part of a file as this machine can read it."""
    if not isinstance(piece, ArrowPiece) or uris.is_local(location):
        yield piece
        return
    with uris.local_copy(location) as path:
        yield replace(piece, path=path)


def _write(job: Job[Any], block: int, batches: Batches) -> tuple[Written, HashesByDay]:
    parts: list[tuple[columns.Place, Encoded]] = []
    n_bytes = 0
    for batch in batches:
        for part in columns.records_of(batch, job.schema):
            parts.append(part)
            n_bytes += part[1].nbytes
        write_blocks.require_room(job, n_bytes)
    parts.sort(key=operator.itemgetter(0))  # in the order of files and lines, however Spark delivers them
    rows = Encoded.concatenate([none_of(job.schema), *(rows for _, rows in parts)])
    return write_blocks.write_block(job, rows, block)


def _gather(number: int, batches: Batches) -> WrittenSlice | errors.PrivateKubeError:
    outcomes = [unpickled(outcome) for batch in batches for outcome in batch.column(columns.OUTCOME).to_pylist()]
    failed = [outcome for outcome in outcomes if isinstance(outcome, errors.PrivateKubeError)]
    if failed:
        return min(failed, key=str)
    outcomes.sort(key=lambda outcome: outcome[0].block)
    return WrittenSlice(number, [done for done, _ in outcomes], identify.union([hashes for _, hashes in outcomes]))


def _outcome(action: Callable[[], object]) -> object:
    (outcome,) = _until_error(action() for _ in range(1))
    return outcome


def _until_error(results: Iterator[object]) -> Iterator[Any]:
    """Yield results, and the permanent error of this library that ends them; Spark repeats what fails otherwise."""
    try:
        yield from results
    except errors.Permanent as error:
        yield error
    except errors.Temporary:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its message may quote a record
        raise RuntimeError(entrypoint.withheld(error)) from None


def _row(schema: pa.Schema, *values: object) -> pa.RecordBatch:
    *numbers, outcome = values
    return pa.RecordBatch.from_arrays([pa.array([value]) for value in (*numbers, pickle.dumps(outcome))], schema=schema)
