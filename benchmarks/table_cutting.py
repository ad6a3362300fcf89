"""Cut a table of JSON lines or CSV into blocks, beside pyarrow merely reading the same file, in one run.

    python benchmarks/table_cutting.py --rows 200000

The table is made here: users, times, a number, a category and a short text. Prints processor seconds, records a second,
and the ratio to pyarrow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.json

from privatekube.data import declare
from privatekube.data.tables import schema
from privatekube.data.tables.source import TableSource
from privatekube.privacy.budget import EpsilonDelta

SCHEMA = """
dataset: visits
user: patient
time: {column: admitted}
days: {first: 2024-01-01, last: 2024-12-31}
slice: month
unit: user-day
features:
  age: {type: integer, range: [0, 120]}
  height: {type: number, range: [0, 2.5]}
  ward: {type: category, keys: [A, B, C]}
text:
  note: {words: english, tokens: 64}
"""
WORDS = np.array(["the", "patient", "was", "well", "and", "went", "home", "after", "two", "days", "of", "rest"])


def write_table(folder: Path, rows: int) -> None:
    """Write the same records as `t.jsonl` and `t.csv`."""
    chance = np.random.default_rng(0)
    start = np.datetime64("2024-01-01T00:00:00")
    times = start + chance.integers(0, 366 * 86_400, rows).astype("timedelta64[s]")
    columns = {
        "patient": [f"p{number}" for number in chance.integers(0, rows // 5, rows)],
        "admitted": [str(moment) for moment in times],
        "age": chance.integers(0, 121, rows).tolist(),
        "height": (chance.integers(0, 250, rows) / 100).tolist(),
        "ward": chance.choice(["A", "B", "C"], rows).tolist(),
        "note": [" ".join(row) for row in chance.choice(WORDS, (rows, 12))],
    }
    records = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    (folder / "t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    lines = [",".join(columns), *(",".join(map(str, record.values())) for record in records)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")


def processor_seconds(action: Callable[[], object]) -> float:
    """Return how long an action computes, on all threads."""
    start = time.process_time()
    action()
    return time.process_time() - start


def write_blocks(source: TableSource, declared: schema.Schema, folder: Path) -> None:
    """Cut a source into blocks, as `privatekube blocks create` does."""
    declaration = declare.Declaration(
        dataset=declared.dataset,
        namespace="team",
        kind=declared.kind_of_slice,
        n_buckets=declared.users,
        unit=declared.unit,
        max_contribution=declared.contribution_bound,
        initial_budget=EpsilonDelta(10.0, 1e-7),
        folder=str(folder),
    )
    for days in declared.slices:
        declare.write_slice(source, days, declaration, owner_key=bytes(32))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    readers = {"t.jsonl": pyarrow.json.read_json, "t.csv": pyarrow.csv.read_csv}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder, rows)
        (folder / "schema.yaml").write_text(SCHEMA)
        declared = schema.read(folder / "schema.yaml")
        for file, reader in readers.items():
            measure(folder, file, reader, declared, rows)


def measure(folder: Path, file: str, reader: Callable[[str], object], declared: schema.Schema, rows: int) -> None:
    """Print how long reading and cutting of one file take."""
    path, opened = str(folder / file), list[TableSource]()
    plain = processor_seconds(lambda: reader(path))
    read = processor_seconds(lambda: opened.append(TableSource([path], declared)))
    write = processor_seconds(lambda: write_blocks(opened[0], declared, folder / f"{file}.blocks"))
    print(f"{file}: pyarrow reads {rows:,} records in {plain:.2f} s of processor time")
    print(f"  read as declared: {read:.2f} s, {rows / read:,.0f} a second, {read / plain:.1f} times pyarrow")
    print(f"  cut and written:  {write:.2f} s, {rows / write:,.0f} a second")


if __name__ == "__main__":
    main()
