"""Read fields of files of JSON lines, batch by batch."""

from __future__ import annotations

import codecs
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privatekube import errors
from privatekube.data.tables import text_files
from privatekube.data.tables.batch import Batch, Wanted, require_columns


def batches(path: Path, wanted: Wanted) -> Iterator[Batch]:
    """Read fields of a file of this machine."""
    seen, n_lines, first_line = set[str](), 0, b""
    names = frozenset(wanted.names)
    for chunk in text_files.chunks(path, text_files.LINES):
        lines = [line for line in chunk.data.split(b"\n") if line.strip()]
        read = [_object(line) for line in lines]
        objects = [fields for fields in read if fields is not None]
        first_line = first_line or (lines[0] if lines else b"")
        if not n_lines:
            text_files.require_utf8(first_line, wanted.location)
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
        require_columns(wanted, list(seen))


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
