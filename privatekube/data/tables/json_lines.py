"""Read fields of files of JSON lines, batch by batch."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privatekube import errors
from privatekube.data.tables import arrow_json, text_files
from privatekube.data.tables.batch import Batch, Wanted, require_columns, with_absent
from privatekube.data.tables.text_files import TextPiece

_SMALL_BYTES = 16_000
"""Fewer bytes are read by Python's parser, and as many tell of which type each field is likely to be."""


def pieces(path: Path, wanted: Wanted, most_bytes: int) -> Iterator[TextPiece]:
    """Cut a file of this machine into parts that are read by themselves."""
    first_line = b""
    for piece in text_files.pieces(text_files.chunks(path, text_files.LINES), most_bytes=most_bytes):
        if not first_line:
            first_line = _first_line(b"".join(chunk.data for chunk in piece.chunks))
            text_files.require_utf8(first_line, wanted.location)
        yield piece


def batches(piece: TextPiece, wanted: Wanted) -> Iterator[Batch]:
    """Read fields of a part of a file."""
    seen = set[str]()
    for chunk in piece.chunks:
        read = _parts(chunk.data, wanted, seen)
        yield replace(read[0], damaged=read[0].damaged + chunk.damaged, fields=frozenset(seen))
        yield from read[1:]
        if chunk.has_trailing_garbage:
            yield Batch(with_absent({}, 0, wanted), 0, has_trailing_garbage=True)


def require_fields(path: Path, wanted: Wanted, fields: Collection[str]) -> None:
    """Refuse a file that was read and lacks a column: which ones it has is known at its end alone.

    Raises:
        CorruptData: it has not one object with a column.
        InvalidInput: it lacks one.
    """
    if not fields:
        chunks = text_files.chunks(path, text_files.LINES)
        lines = (_first_line(chunk.data) for chunk in chunks)
        raise errors.CorruptData(_not_json_lines(wanted, next(filter(None, lines), b"")))
    require_columns(wanted, list(fields))


def _first_line(data: bytes) -> bytes:
    """Return the first line that is not blank."""
    return next((line for line in io.BytesIO(data) if line.strip()), b"")


def _parts(data: bytes, wanted: Wanted, seen: set[str]) -> list[Batch]:
    """Return whole lines as batches: as Arrow's parser reads them, and parts where it cannot as Python's does.

    Args:
        data: the lines.
        wanted: which fields.
        seen: gets the names of fields that there are.
    """
    if len(data) <= _SMALL_BYTES:
        return [_as_python_reads(data, wanted, seen)]
    beginning = data[: data.find(b"\n", _SMALL_BYTES) + 1]
    objects = [fields for fields in map(_reader(wanted), _lines(beginning)) if fields is not None]
    columns = arrow_json.columns(data, _likely_types(wanted, objects))
    if columns is not None and _tell_what_is_there(columns, data, wanted, seen):
        return [Batch(columns, len(columns[wanted.names[0]]))]
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle in {0, len(data)}:
        return [_as_python_reads(data, wanted, seen)]
    return _parts(data[:middle], wanted, seen) + _parts(data[middle:], wanted, seen)


def _tell_what_is_there(columns: Mapping[str, pa.Array], data: bytes, wanted: Wanted, seen: set[str]) -> bool:
    """Add the fields that have a value to those seen; return False where a line may have one that is null in all.

    One name of a column is enough: whether there is a second one changes nothing.
    """
    seen.update(name for name, array in columns.items() if array.null_count < len(array))
    absent = [name for column in wanted.columns if seen.isdisjoint(column.names) for name in column.names]
    return not any(json.dumps(name).encode() in data for name in absent)


def _likely_types(wanted: Wanted, objects: Sequence[dict[str, Any]]) -> dict[str, pa.DataType]:
    return {
        name: pa.string() if column.is_text else _type_of(objects, name)
        for column in wanted.columns
        for name in column.names
    }


def _type_of(objects: Sequence[dict[str, Any]], name: str) -> pa.DataType:
    """Return of which type a field is likely to be."""
    kinds = {type(fields.get(name)) for fields in objects} - {NoneType}
    if kinds == {int, float}:
        return pa.float64()
    return _LIKELY_TYPES.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line.strip()]


def _as_python_reads(data: bytes, wanted: Wanted, seen: set[str]) -> Batch:
    lines, names = _lines(data), frozenset(wanted.names)
    objects = [fields for fields in map(_reader(wanted), lines) if fields is not None]
    if seen < names:
        seen.update(*(names.intersection(fields) for fields in objects))
    texts = [name for column in wanted.columns if column.is_text for name in column.names]
    return Batch(
        {name: _column(objects, name) for name in names},
        len(objects),
        {name: _are_not_text(objects, name) for name in texts},
        damaged=len(lines) - len(objects),
    )


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


class _Doubled(dict[str, Any]):
    """The fields of an object that has some of them twice."""

    names: frozenset[str]


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    doubled = _Doubled(fields)
    doubled.names = frozenset(name for name, number in Counter(name for name, _ in pairs).items() if number > 1)
    return doubled


_DECODER = json.JSONDecoder(object_pairs_hook=_fields)


def _reader(wanted: Wanted) -> Callable[[bytes], dict[str, Any] | None]:
    """Return what reads the object of a line; None for a line that is not one, or has a field of these twice."""
    names = frozenset(wanted.names)

    def read(line: bytes) -> dict[str, Any] | None:
        try:
            fields = _DECODER.decode(line.removeprefix(codecs.BOM_UTF8).decode())
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or (isinstance(fields, _Doubled) and fields.names & names):
            return None  # a field that is given twice has no meaning
        return fields

    return read


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
_LIKELY_TYPES = {**_ARROW_TYPES, bool: pa.bool_()}


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
