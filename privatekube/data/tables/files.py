"""Read the columns of a table from files, batch by batch: CSV, JSON lines, Parquet and Arrow.

Messages quote neither values nor headers: in a file without a header, that is a person's record.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from privatekube import errors
from privatekube.data.tables import text_files
from privatekube.data.tables.text_files import Chunk
from privatekube.storage import local_files, uris

ROWS = 20_000
"""How many records of Parquet and Arrow are read at once."""
_BYTES = "latin-1"
"""Reads each byte as one character, so that a value that is not UTF-8 spoils no other."""
_ARROW_FILE = b"ARROW1"


@dataclass(frozen=True, eq=False)
class Batch:
    """Some records of a file.

    Args:
        columns: by name, the same number of values each.
        damaged: how many further records cannot be read at all.
        has_trailing_garbage: whether something that is not gzip follows the compressed data.
    """

    columns: dict[str, pa.Array]
    damaged: int = 0
    has_trailing_garbage: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True)
class Wanted:
    """What to read of a file.

    Args:
        name: what to call the file in messages; its ending says what it is.
        columns: names, each once.
        texts: those of them that are text: a number of JSON is none.
    """

    name: str
    columns: tuple[str, ...]
    texts: frozenset[str] = frozenset()


def list_tables(sources: Sequence[str]) -> list[str]:
    """Return the files of a table, each once: those that are named, and those of folders and prefixes by their ending.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: a folder without such files.
    """
    files: list[str] = []
    for source in sources:
        listed = uris.list_files(source)
        found = listed if listed == [uris.absolute(source)] else [file for file in listed if file.endswith(ENDINGS)]
        if not found:
            raise errors.invalid("source", source, f"has no file that ends in one of {', '.join(ENDINGS)}", "name one")
        files += found
    return list(dict.fromkeys(files))


def batches(path: Path, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of a file of this machine.

    Raises:
        InvalidInput: an unknown ending, or a column that is absent or there twice.
        CorruptData: the file is damaged, or not what its ending says.
    """
    reader = next((reader for ending, reader in READERS.items() if wanted.name.endswith(ending)), None)
    if reader is None:
        raise errors.invalid("source", wanted.name, f"does not end in one of {', '.join(ENDINGS)}", "name such a file")
    with _corrupt_when_unreadable(wanted.name):
        yield from reader(path, wanted)


def _csv(path: Path, wanted: Wanted, *, delimiter: str = ",") -> Iterator[Batch]:
    form = text_files.csv_form(delimiter)
    header: list[str] | None = None
    for chunk in text_files.chunks(path, form):
        data = chunk.data
        if header is None and data:
            end = form.end_of_first(data)
            header = _header(data[:end], delimiter)
            _require_columns(wanted, header)
            data = data[end:]
        yield _csv_batch(data, header or [], delimiter, wanted, chunk)
    if header is None:
        _require_columns(wanted, [])


def _header(record: bytes, delimiter: str) -> list[str]:
    text = record.decode("utf-8-sig", errors="surrogateescape")
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])


def _csv_batch(data: bytes, header: Sequence[str], delimiter: str, wanted: Wanted, chunk: Chunk) -> Batch:
    damaged: list[str] = []

    def skip(_: pa.csv.InvalidRow) -> str:
        damaged.append("")
        return "skip"

    if not data.strip():
        return Batch(_nothing(wanted), chunk.damaged, chunk.has_trailing_garbage)
    read = pa.csv.read_csv(
        pa.py_buffer(data),
        read_options=pa.csv.ReadOptions(
            use_threads=False,
            block_size=len(data) + 1,
            column_names=[
                column if column in wanted.columns else f"unread {number}" for number, column in enumerate(header)
            ],
            encoding=_BYTES,
        ),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted.columns, pa.string()),
            include_columns=list(wanted.columns),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    columns = {column: _bytes(read.column(column).combine_chunks()) for column in wanted.columns}
    return Batch(columns, chunk.damaged + len(damaged), chunk.has_trailing_garbage)


def _tsv(path: Path, wanted: Wanted) -> Iterator[Batch]:
    return _csv(path, wanted, delimiter="\t")


def _json_lines(path: Path, wanted: Wanted) -> Iterator[Batch]:
    seen, n_lines = set[str](), 0
    for chunk in text_files.chunks(path, text_files.LINES):
        read = [_object(line) for line in chunk.data.split(b"\n") if line.strip()]
        objects = [fields for fields in read if fields is not None]
        n_lines += len(read) + chunk.damaged
        seen.update(column for fields in objects for column in wanted.columns if column in fields)
        damaged = len(read) - len(objects) + chunk.damaged
        columns = {name: _column(objects, name, wanted) for name in wanted.columns}
        yield Batch(columns, damaged, chunk.has_trailing_garbage)
    if n_lines and not seen:
        bound = "has not one line that is an object with a column of the schema"
        raise errors.InvalidInput(f"source: {wanted.name} {bound}; write one JSON object a line, not an array")
    if n_lines:
        _require_columns(wanted, list(seen))


def _parquet(path: Path, wanted: Wanted) -> Iterator[Batch]:
    with pa.parquet.ParquetFile(path) as file:
        _require_columns(wanted, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=ROWS, columns=list(wanted.columns)):
            yield _batch(batch, wanted)


def _arrow(path: Path, wanted: Wanted) -> Iterator[Batch]:
    with path.open("rb") as start:
        is_file = start.read(len(_ARROW_FILE)) == _ARROW_FILE
    with pa.memory_map(str(path)) as stream:
        if is_file:
            reader = pa.ipc.open_file(stream)
            parts: Iterator[pa.RecordBatch] = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(stream)
            parts = iter(reader)
        _require_columns(wanted, reader.schema.names)
        for batch in parts:
            for start_row in range(0, batch.num_rows, ROWS):
                yield _batch(batch.slice(start_row, ROWS), wanted)


Reader = Callable[[Path, Wanted], Iterator[Batch]]
READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".csv.gz": _csv,
    ".tsv": _tsv,
    ".tsv.gz": _tsv,
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines,
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".feather": _arrow,
}
"""How to read a file, by its ending; `.arrow` is a file or a stream of Arrow's IPC format, `.feather` its version 2."""
ENDINGS = tuple(READERS)


def _bytes(array: pa.Array) -> pa.Array:
    """Return the bytes of a column that was read as `_BYTES`."""
    if pc.all(pc.string_is_ascii(array), min_count=0).as_py():
        return array.cast(pa.binary())
    return pa.array([None if text is None else text.encode(_BYTES) for text in array.to_pylist()], pa.binary())


def _batch(batch: pa.RecordBatch, wanted: Wanted) -> Batch:
    return Batch({column: batch.column(column) for column in wanted.columns})


def _require_columns(wanted: Wanted, header: Sequence[str]) -> None:
    for column in wanted.columns:
        if header.count(column) != 1:
            fault = "is absent from" if column not in header else "is there twice in"
            raise errors.InvalidInput(
                f"schema: column {column!r} {fault} {wanted.name}; correct the schema or the header"
            )


def _column(objects: Sequence[dict[str, Any]], name: str, wanted: Wanted) -> pa.Array:
    given = [fields.get(name) for fields in objects]
    if name in wanted.texts:
        given = [value if isinstance(value, str) else None for value in given]
    return pa.array([_scalar(value) for value in given], pa.binary())


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None for a line that is not one, or has a field twice."""
    try:
        fields = json.loads(line, object_pairs_hook=lambda pairs: (dict(pairs), len(pairs)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, tuple) or len(fields[0]) < fields[1]:
        return None
    return dict(fields[0])


def _scalar(value: object) -> bytes | None:
    """Return a value of JSON as the text that a CSV file has; None for one that has parts."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float | str):
        return str(value).encode(errors="surrogatepass") or None
    return None


def _nothing(wanted: Wanted) -> dict[str, pa.Array]:
    return {column: pa.array([], pa.binary()) for column in wanted.columns}


@contextmanager
def _corrupt_when_unreadable(name: str) -> Iterator[None]:
    """Translate the errors of the readers, without their text: it quotes the data."""
    try:
        yield
    except (pa.ArrowException, EOFError, zlib.error, csv.Error, ValueError):
        raise errors.CorruptData(f"source: {name} is damaged, or not what its ending says; check it") from None
    except OSError as error:
        if error.errno is None:
            raise errors.CorruptData(f"source: {name} is damaged, or not what its ending says; check it") from None
        raise local_files.translation(error, name) from error
