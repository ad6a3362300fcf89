"""Read columns of Parquet and Arrow files, batch by batch: their types are in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from privatekube.data.tables.batch import Batch, Wanted, require_columns, with_absent

ROWS = 20_000
"""How many records are read at once."""
_BUFFER_BYTES = 1 << 20
_FEW_GROUPS, _LARGE_PARTS = 4, 4
"""Fewer row groups, each larger than so many parts, are decoded by the process that cuts the file. Workers share what
is done with their records, which takes several times longer."""
_ARROW_FILE = b"ARROW1"


@dataclass(frozen=True)
class ArrowPiece:
    """A part of a file that is read by itself.

    Args:
        path: of the file.
        groups: the numbers of its row groups or record batches; None for the whole of a stream.
        share: how much of the file is read after it, up to 1.
    """

    path: Path
    groups: range | None
    share: float


@dataclass(frozen=True)
class DecodedPiece:
    """Records of a file that are read already.

    Args:
        stream: the records, in Arrow's IPC format.
        share: how much of the file is read after it, up to 1.
    """

    stream: bytes
    share: float


def parquet_pieces(path: Path, wanted: Wanted, most_bytes: int) -> Iterator[ArrowPiece | DecodedPiece]:
    """Cut a Parquet file of this machine into runs of row groups; a few large ones into runs of records."""
    with pa.parquet.ParquetFile(path) as file:
        require_columns(wanted, file.schema_arrow.names)
        n_rows = file.metadata.num_rows
        sizes = [file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups)]
    if 0 < len(sizes) < _FEW_GROUPS and sum(sizes) > _LARGE_PARTS * most_bytes * len(sizes):
        return _decoded(path, wanted, n_rows, max(1, min(ROWS, n_rows * most_bytes // sum(sizes))))
    return _pieces(path, sizes, most_bytes)


def parquet(piece: ArrowPiece | DecodedPiece, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of some row groups of a Parquet file, a page at a time."""
    if isinstance(piece, DecodedPiece):
        batches: Iterator[pa.RecordBatch] = iter(pa.ipc.open_stream(piece.stream))
    else:
        batches = _parquet_batches(piece.path, wanted, ROWS, piece.groups)
    return (_batch(batch, wanted) for batch in batches)


def arrow_pieces(path: Path, wanted: Wanted, most_bytes: int) -> Iterator[ArrowPiece]:
    """Cut a file of Arrow's IPC format into runs of record batches; a stream is one piece."""
    with pa.memory_map(str(path)) as stream:
        if not _is_file(path):
            require_columns(wanted, pa.ipc.open_stream(stream).schema.names)
            return iter([ArrowPiece(path, None, 1.0)])
        reader = pa.ipc.open_file(stream)
        require_columns(wanted, reader.schema.names)
        number = reader.num_record_batches
        return _pieces(path, [stream.size() // max(1, number)] * number, most_bytes)


def arrow(piece: ArrowPiece, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of some record batches of a file or a stream of Arrow's IPC format."""
    with pa.memory_map(str(piece.path)) as stream:
        if piece.groups is None:
            batches: Iterator[pa.RecordBatch] = iter(pa.ipc.open_stream(stream))
        else:
            batches = map(pa.ipc.open_file(stream).get_batch, piece.groups)
        for batch in batches:
            for start_row in range(0, batch.num_rows, ROWS):
                yield _batch(batch.slice(start_row, ROWS), wanted)


def _is_file(path: Path) -> bool:
    with path.open("rb") as start:
        return start.read(len(_ARROW_FILE)) == _ARROW_FILE


def _pieces(path: Path, sizes: list[int], most_bytes: int) -> Iterator[ArrowPiece]:
    first = 0
    for last in range(len(sizes)):
        if sum(sizes[first : last + 1]) >= most_bytes or last + 1 == len(sizes):
            yield ArrowPiece(path, range(first, last + 1), (last + 1) / len(sizes))
            first = last + 1


def _decoded(path: Path, wanted: Wanted, n_rows: int, n_rows_each: int) -> Iterator[DecodedPiece]:
    n_read = 0
    for batch in _parquet_batches(path, wanted, n_rows_each, None):
        n_read += batch.num_rows
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, batch.schema) as writer:
            writer.write_batch(batch)
        yield DecodedPiece(stream.getvalue().to_pybytes(), n_read / n_rows)


def _parquet_batches(path: Path, wanted: Wanted, n_rows: int, groups: range | None) -> Iterator[pa.RecordBatch]:
    """Yield the wanted columns of some row groups, or of all, so many records at a time."""
    with pa.parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        present = [name for name in wanted.names if name in file.schema_arrow.names]
        numbers = None if groups is None else list(groups)
        yield from file.iter_batches(batch_size=n_rows, row_groups=numbers, columns=present, use_threads=False)


def _batch(batch: pa.RecordBatch, wanted: Wanted) -> Batch:
    present = {name: batch.column(name) for name in wanted.names if name in batch.schema.names}
    return Batch(with_absent(present, batch.num_rows, wanted), batch.num_rows, is_typed=True)
