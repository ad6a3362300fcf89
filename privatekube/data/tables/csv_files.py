"""Read columns of CSV files, batch by batch; a value that is not UTF-8 spoils no other."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from privatekube.data.tables import text_files
from privatekube.data.tables.batch import Batch, Wanted, require_columns, with_absent
from privatekube.data.tables.text_files import Chunk, TextPiece

_BYTES = "latin-1"
"""Reads each byte as one character, so that a value that is not UTF-8 spoils no other."""


def pieces(path: Path, wanted: Wanted, most_bytes: int, *, delimiter: str) -> Iterator[TextPiece]:
    """Cut a file of this machine, whose fields are separated by `delimiter`, into parts that are read by themselves."""
    form = text_files.csv_form(delimiter)
    chunks = text_files.chunks(path, form)
    before: list[Chunk] = []
    header: list[str] = []
    for chunk in chunks:
        before.append(chunk)
        if chunk.data:
            text_files.require_utf8(chunk.data, wanted.location)
            end = form.end_of_first(chunk.data)
            header = _header(chunk.data[:end], delimiter)
            before[-1] = replace(chunk, data=chunk.data[end:])
            break
    require_columns(wanted, header, remark=_remark(header, delimiter) if header else "")
    yield from text_files.pieces(itertools.chain(before, chunks), most_bytes=most_bytes, header=tuple(header))


def batches(piece: TextPiece, wanted: Wanted, *, delimiter: str) -> Iterator[Batch]:
    """Read columns of a part of a file."""
    return (_csv_batch(chunk, piece.header, delimiter, wanted) for chunk in piece.chunks)


def _header(record: bytes, delimiter: str) -> list[str]:
    text = record.decode("utf-8-sig", errors="surrogateescape")
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])


def _remark(header: Sequence[str], delimiter: str) -> str:
    """Return what a header of one column tells of a file that lacks columns; never a word of the header."""
    if len(header) > 1:
        return ""
    known = {",": "commas", "\t": "tabs"}[delimiter]
    return f", whose header is one column: fields must be separated by {known}"


def _csv_batch(chunk: Chunk, header: Sequence[str], delimiter: str, wanted: Wanted) -> Batch:
    data = chunk.data
    damaged: list[str] = []

    def skip(_: pa.csv.InvalidRow) -> str:
        damaged.append("")
        return "skip"

    if not data.strip():
        nothing = with_absent({}, 0, wanted)
        return Batch(nothing, 0, damaged=chunk.damaged, has_trailing_garbage=chunk.has_trailing_garbage)
    present = [name for name in wanted.names if name in header]
    read = pa.csv.read_csv(
        pa.py_buffer(data),
        read_options=pa.csv.ReadOptions(
            use_threads=False,
            block_size=len(data) + 1,
            column_names=[name if name in present else f"unread {number}" for number, name in enumerate(header)],
            encoding=_BYTES,
        ),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(present, pa.string()),
            include_columns=present,
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    columns = with_absent({name: _bytes(read.column(name).combine_chunks()) for name in present}, len(read), wanted)
    n_damaged = chunk.damaged + len(damaged)
    return Batch(columns, len(read), damaged=n_damaged, has_trailing_garbage=chunk.has_trailing_garbage)


def _bytes(array: pa.Array) -> pa.Array:
    """Return the bytes of a column that was read as `_BYTES`."""
    if pc.all(pc.string_is_ascii(array), min_count=0).as_py():
        return array.cast(pa.binary())
    return pa.array([None if text is None else text.encode(_BYTES) for text in array.to_pylist()], pa.binary())
