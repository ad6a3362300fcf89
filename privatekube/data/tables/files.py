"""Read the columns of a table from files, batch by batch: CSV, JSON lines, Parquet and Arrow.

Messages quote neither values nor headers: in a file without a header, that is a person's record.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt
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
        columns: by name in the file, the same number of values each; null where the file has no such column.
        size: how many records they are.
        not_text: bool [N] of columns of text, where the value of JSON is of another type.
        is_typed: whether the file declares the types of its columns.
        damaged: how many further records cannot be read at all.
        has_trailing_garbage: whether something that is not gzip follows the compressed data.
        share: how much of the file is read, up to 1.
    """

    columns: Mapping[str, pa.Array]
    size: int
    not_text: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    is_typed: bool = False
    damaged: int = 0
    has_trailing_garbage: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Column:
    """A column to read.

    Args:
        names: that it may have in a file.
        is_text: then a number of JSON is no value of it.
        is_optional: whether a file may lack it.
    """

    names: tuple[str, ...]
    is_text: bool = False
    is_optional: bool = False

    def __str__(self) -> str:
        return " or ".join(map(repr, self.names))


@dataclass(frozen=True)
class Wanted:
    """What to read of a file.

    Args:
        location: what to call the file in messages.
        columns: the columns.
        format: how the file is written; None for what its ending says.
    """

    location: str
    columns: tuple[Column, ...]
    format: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(name for column in self.columns for name in column.names)


def list_tables(sources: Sequence[str], form: str | None = None) -> list[str]:
    """Return the files of a table, each once: those that are named, and those of folders and prefixes by their ending.

    Args:
        sources: files, folders and prefixes.
        form: how the files are written; None for what their endings say.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: a folder without such files.
    """
    files: list[str] = []
    endings = _endings(form)
    for source in sources:
        listed = uris.list_files(source)
        found = listed if listed == [uris.absolute(source)] else [file for file in listed if file.endswith(endings)]
        if not found:
            raise errors.invalid("source", source, f"has no file that ends in one of {', '.join(endings)}", "name one")
        files += found
    return list(dict.fromkeys(files))


def names_of(locations: Sequence[str], form: str | None = None) -> dict[str, str]:
    """Return the name of each file without folder and ending, by location.

    Raises:
        InvalidInput: two files have one name, or a name is not printable text.
    """
    named = {location: _name(location, form) for location in locations}
    for name in named.values():
        if list(named.values()).count(name) > 1:
            raise errors.invalid("source", name, "is the name of two files", "keep one of them")
        if not name or not name.isprintable():
            raise errors.invalid("source", name, "is not printable text", "rename the file")
    return named


def batches(path: Path, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of a file of this machine.

    Raises:
        InvalidInput: an unknown ending, or a column that is absent or there twice.
        CorruptData: the file is damaged, or not what its ending says.
    """
    form = wanted.format or next(
        (form for form, known in FORMATS.items() if wanted.location.endswith(known.endings)), None
    )
    if form is None:
        bound = f"does not end in one of {', '.join(_endings(None))}"
        raise errors.invalid("source", wanted.location, bound, "name such a file, or state the format")
    with _corrupt_when_unreadable(wanted.location):
        yield from FORMATS[form].read(path, wanted)


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
        nothing = _with_absent({}, 0, wanted)
        return Batch(
            nothing, 0, damaged=chunk.damaged, has_trailing_garbage=chunk.has_trailing_garbage, share=chunk.share
        )
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
    columns = _with_absent({name: _bytes(read.column(name).combine_chunks()) for name in present}, len(read), wanted)
    n_damaged = chunk.damaged + len(damaged)
    return Batch(
        columns, len(read), damaged=n_damaged, has_trailing_garbage=chunk.has_trailing_garbage, share=chunk.share
    )


def _tsv(path: Path, wanted: Wanted) -> Iterator[Batch]:
    return _csv(path, wanted, delimiter="\t")


def _json_lines(path: Path, wanted: Wanted) -> Iterator[Batch]:
    seen, n_lines, first_line = set[str](), 0, b""
    names = frozenset(wanted.names)
    for chunk in text_files.chunks(path, text_files.LINES):
        lines = [line for line in chunk.data.split(b"\n") if line.strip()]
        read = [_object(line) for line in lines]
        objects = [fields for fields in read if fields is not None]
        first_line = first_line or (lines[0] if lines else b"")
        n_lines += len(lines) + chunk.damaged
        if seen < names:
            seen.update(*(names.intersection(fields) for fields in objects))
        yield Batch(
            {name: _column(objects, name) for name in names},
            len(objects),
            {
                name: _are_not_text(objects, name)
                for column in wanted.columns
                if column.is_text
                for name in column.names
            },
            damaged=len(lines) - len(objects) + chunk.damaged,
            has_trailing_garbage=chunk.has_trailing_garbage,
            share=chunk.share,
        )
    if n_lines and not seen:
        raise errors.CorruptData(_not_json_lines(wanted, first_line))
    if n_lines:
        _require_columns(wanted, list(seen))


def _not_json_lines(wanted: Wanted, first_line: bytes) -> str:
    """Return the message for a file without one object that has a column: what is wrong, and what is read."""
    look, remedy = "has not one line that is an object with a column of the schema", "write one JSON object a line"
    if first_line.lstrip().startswith(b"["):
        look, remedy = "looks like one JSON array, not JSON lines", "write one record a line: jq -c '.[]'"
    elif first_line.lstrip().startswith(b"{'"):
        look = "looks like Python dictionaries, not JSON lines"
        remedy = "write each line again as json.dumps(ast.literal_eval(line))"
    columns = ", ".join(" or ".join(column.names) for column in wanted.columns)
    return f"source: {wanted.location} {look}; {remedy}, with {columns}"


def _parquet(path: Path, wanted: Wanted) -> Iterator[Batch]:
    with pa.parquet.ParquetFile(path) as file:
        _require_columns(wanted, file.schema_arrow.names)
        present = [name for name in wanted.names if name in file.schema_arrow.names]
        n_rows = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=present):
            n_rows += batch.num_rows
            yield _batch(batch, wanted, n_rows / max(1, file.metadata.num_rows))


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
                yield _batch(batch.slice(start_row, ROWS), wanted, stream.tell() / max(1, stream.size()))


@dataclass(frozen=True)
class Format:
    """How files are written.

    Args:
        read: reads a file.
        endings: of files of this format.
        further: endings of files that may be of this format, if it is stated.
    """

    read: Callable[[Path, Wanted], Iterator[Batch]]
    endings: tuple[str, ...]
    further: tuple[str, ...] = ()


FORMATS = {
    "csv": Format(_csv, (".csv", ".csv.gz")),
    "tsv": Format(_tsv, (".tsv", ".tsv.gz")),
    "jsonl": Format(_json_lines, (".jsonl", ".jsonl.gz"), (".json", ".json.gz", ".gz")),
    "parquet": Format(_parquet, (".parquet",)),
    "arrow": Format(_arrow, (".arrow", ".feather")),
}
"""`.arrow` is a file or a stream of Arrow's IPC format, `.feather` its version 2."""


def _endings(form: str | None) -> tuple[str, ...]:
    if form is not None:
        return FORMATS[form].endings + FORMATS[form].further
    return tuple(ending for known in FORMATS.values() for ending in known.endings)


def _name(location: str, form: str | None) -> str:
    name = location.rsplit("/", 1)[-1]
    ending = max((ending for ending in _endings(form) if name.endswith(ending)), key=len, default="")
    return name.removesuffix(ending)


def _bytes(array: pa.Array) -> pa.Array:
    """Return the bytes of a column that was read as `_BYTES`."""
    if pc.all(pc.string_is_ascii(array), min_count=0).as_py():
        return array.cast(pa.binary())
    return pa.array([None if text is None else text.encode(_BYTES) for text in array.to_pylist()], pa.binary())


def _batch(batch: pa.RecordBatch, wanted: Wanted, share: float) -> Batch:
    present = {name: batch.column(name) for name in wanted.names if name in batch.schema.names}
    return Batch(_with_absent(present, batch.num_rows, wanted), batch.num_rows, is_typed=True, share=share)


def _with_absent(present: Mapping[str, pa.Array], size: int, wanted: Wanted) -> dict[str, pa.Array]:
    return {name: present.get(name, pa.nulls(size)) for name in wanted.names}


def _require_columns(wanted: Wanted, header: Sequence[str]) -> None:
    for column in wanted.columns:
        counts = [header.count(name) for name in column.names]
        if max(counts) > 1 or (max(counts) < 1 and not column.is_optional):
            fault = "is there twice in" if max(counts) > 1 else "is absent from"
            raise errors.InvalidInput(
                f"schema: column {column} {fault} {wanted.location}; correct the schema or the header"
            )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of an object; one that is given twice has no meaning."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("has a field twice")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct)


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None for a line that is not one."""
    try:
        fields = _DECODER.decode(line.removeprefix(codecs.BOM_UTF8).decode())
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _column(objects: Sequence[dict[str, Any]], name: str) -> pa.Array:
    """Return the values of a field: of their type where all have one, else as the text that a CSV file has."""
    given = [fields.get(name) for fields in objects]
    kinds = set(map(type, given)) - {NoneType}
    if not kinds:
        return pa.nulls(len(given))
    if len(kinds) == 1:
        with contextlib.suppress(pa.ArrowException, UnicodeError, OverflowError, KeyError):
            kind = _ARROW_TYPES[kinds.pop()]
            return pa.array([value or None for value in given] if kind == pa.string() else given, kind)
    return pa.array([_scalar(value) for value in given], pa.binary())


_ARROW_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def _are_not_text(objects: Sequence[dict[str, Any]], name: str) -> npt.NDArray[np.bool_]:
    kinds = [type(fields.get(name)) for fields in objects]
    if set(kinds) <= {str, NoneType}:
        return np.zeros(len(kinds), np.bool_)
    return np.array([kind not in {str, NoneType} for kind in kinds], np.bool_)


def _scalar(value: object) -> bytes | None:
    """Return a value of JSON as the text that a CSV file has; None for one that has parts."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass") or None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value)).encode()
    return str(value).encode() if isinstance(value, int | float) else None


@contextlib.contextmanager
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
