"""A small table of hospital visits, its schema, and its rows in every format that is read."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import yaml

from privatekube.data import declare
from privatekube.data.tables import schema, source
from privatekube.data.tables.schema import Schema
from tests.data.cutting import builders as cutting

Row = Mapping[str, Any]
WORDS = "l\nété\nköln\nhello\n"
SCHEMA: dict[str, Any] = {
    "dataset": "visits",
    "user": "patient",
    "time": {"column": "admitted"},
    "days": {"first": "2024-01-01", "last": "2024-12-31"},
    "slice": "month",
    "unit": "user-day",
    "max_contribution": 2,
    "features": {
        "age": {"type": "integer", "range": [0, 120]},
        "height": {"type": "number", "range": [0, 2.5]},
        "ward": {"type": "category", "keys": ["A", "B", 3]},
    },
    "text": {"note": {"words": "words.txt"}},
    "label": {"column": "returned", "keys": [True, False]},
}


def rows(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return visits of many patients in 2024; every value is declared."""
    random = np.random.default_rng(seed)
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    return [
        {
            "patient": int(random.integers(count // 3 + 1)),
            "admitted": datetime.fromtimestamp(start + int(random.integers(366 * 86_400)), UTC).isoformat(),
            "age": int(random.integers(0, 121)),
            "height": float(random.integers(0, 250)) / 100,
            "ward": str(random.choice(["A", "B", "3"])),
            "note": str(random.choice(["L'été à Köln", 'say "hello",\nthen go', ""])),
            "returned": bool(random.integers(2)),
        }
        for _ in range(count)
    ]


def read_schema(folder: Path, changes: Mapping[str, Any] | None = None) -> Schema:
    """Write the schema with some changes (None removes a key), and read it."""
    document = {name: value for name, value in (SCHEMA | dict(changes or {})).items() if value is not None}
    (folder / "words.txt").write_text(WORDS, encoding="utf-8")
    (folder / "schema.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return schema.read(folder / "schema.yaml")


def read(locations: Sequence[str], declared: Schema, *, keep_copies: bool = False, **options: Any) -> cutting.Whole:
    """Read the files of a table: cut them into one block, and read that."""
    kind = source.kind_of(locations, declared)
    return cutting.whole(locations, declared, kind, keep_copies=keep_copies, **options)


def table_of(
    folder: Path, table: Sequence[Row], changes: Mapping[str, Any] | None = None, **options: Any
) -> cutting.Whole:
    """Read a table, written as CSV, under the schema with some changes."""
    write_csv(folder / "table.csv", table)
    return opened(folder, "table.csv", changes, **options)


def opened(folder: Path, name: str, changes: Mapping[str, Any] | None = None, **options: Any) -> cutting.Whole:
    """Read a file of a table under the schema with some changes."""
    return read([str(folder / name)], read_schema(folder, changes), **options)


def cut(
    folder: Path, table: Sequence[Row], changes: Mapping[str, Any], **declaration: Any
) -> list[declare.DeclaredSlice]:
    """Cut a table, written as CSV, into the blocks of the schema with some changes; their files go into the folder."""
    write_csv(folder / "table.csv", table)
    declared, locations = read_schema(folder, changes), [str(folder / "table.csv")]
    return cutting.cut(locations, declared, source.kind_of(locations, declared), folder, **declaration)[0]


def as_text(value: object) -> str:
    """Return a value as a CSV file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def write_csv(path: Path, table: Sequence[Row], *, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(table[0])
        writer.writerows([as_text(row.get(name)) for name in table[0]] for row in table)


def _write_tsv_gz(path: Path, table: Sequence[Row]) -> None:
    write_csv(path.with_suffix(".plain"), table, delimiter="\t")
    path.write_bytes(gzip.compress(path.with_suffix(".plain").read_bytes()))


def write_json_lines(path: Path, table: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table))


def arrow(table: Sequence[Row]) -> pa.Table:
    """Return the table with its times as timestamps, and the wards as a dictionary."""
    times = [datetime.fromisoformat(row["admitted"]) for row in table]
    whole = pa.Table.from_pylist([dict(row) for row in table])
    place = whole.schema.get_field_index("admitted")
    whole = whole.set_column(place, "admitted", pa.array(times, pa.timestamp("ns", "UTC")))
    place = whole.schema.get_field_index("ward")
    return whole.set_column(place, "ward", whole["ward"].dictionary_encode())


def _write_parquet(path: Path, table: Sequence[Row]) -> None:
    pa.parquet.write_table(arrow(table), path, row_group_size=7)


def _write_feather(path: Path, table: Sequence[Row]) -> None:
    pa.feather.write_feather(arrow(table), str(path))


def _write_stream(path: Path, table: Sequence[Row]) -> None:
    whole = arrow(table)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, whole.schema) as stream:
        stream.write_table(whole)


WRITERS: dict[str, Callable[[Path, Sequence[Row]], None]] = {
    "t.csv": write_csv,
    "t.tsv.gz": _write_tsv_gz,
    "t.jsonl": write_json_lines,
    "t.parquet": _write_parquet,
    "t.feather": _write_feather,
    "t.arrow": _write_stream,
}
