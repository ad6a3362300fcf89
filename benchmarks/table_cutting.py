"""Cut a table into blocks as `privatekube blocks create` does, beside DuckDB merely partitioning the same file.

    uv run --with duckdb python benchmarks/table_cutting.py --rows 1000000

The table is made here: users, times, a number, a category and a text of 60 words in the mean, as JSON lines and as
Parquet. The two take turns in one run, each with all cores. Prints records a second of both and the ratio, each the
median of some turns, by the clock and of the processors' time: the clock says little while others use the machine.
Needs duckdb, which is no dependency of this project.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from privatekube.data import declare
from privatekube.data.cutting import cut
from privatekube.data.cutting.job import Job
from privatekube.data.cutting.limits import Limits
from privatekube.data.read_report import ReadReport
from privatekube.data.tables import english, schema, source
from privatekube.privacy.budget import EpsilonDelta

SCHEMA = """
dataset: visits
user: patient
time: {column: admitted, unit: s}
days: {first: 2024-01-01, last: 2024-12-31}
slice: month
users: 2
unit: user-day
features:
  age: {type: integer, range: [0, 120]}
  ward: {type: category, keys: [A, B, C]}
text:
  note: {words: english, tokens: 125}
"""
START = 1_704_067_200
COLUMNS = "{patient: 'VARCHAR', admitted: 'BIGINT', age: 'BIGINT', ward: 'VARCHAR', note: 'VARCHAR'}"
READERS = {
    "t.jsonl": f"read_json(?, columns={COLUMNS}, format='newline_delimited')",
    "t.parquet": "read_parquet(?)",
}
MIB = 1 << 20


def write_table(folder: Path, rows: int) -> None:
    """Write the same records as `t.parquet` and `t.jsonl`."""
    chance = np.random.default_rng(0)
    lengths = np.minimum(chance.lognormal(3.8, 0.8, rows).astype(int) + 1, 400)
    words = np.array(english.words())
    likely = 1 / np.arange(1, len(words) + 1)
    drawn = chance.choice(words, lengths.sum(), p=likely / likely.sum())
    notes = [" ".join(text) for text in np.split(drawn, np.cumsum(lengths)[:-1])]
    columns = {
        "patient": [f"p{number:012}" for number in chance.integers(0, rows // 5, rows)],
        "admitted": START + chance.integers(0, 366 * 86_400, rows),
        "age": chance.integers(0, 121, rows),
        "ward": chance.choice(["A", "B", "C"], rows),
        "note": notes,
    }
    pyarrow.parquet.write_table(pa.table(columns), folder / "t.parquet", row_group_size=50_000)
    duckdb.sql(f"COPY '{folder / 't.parquet'}' TO '{folder / 't.jsonl'}' (FORMAT json)")


def cut_file(path: Path, folder: Path, *, declared: schema.Schema, limits: Limits) -> None:
    """Cut a file into blocks."""
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
    locations = (str(path),)
    kind, slices = source.kind_of(locations, declared), tuple(declared.slices)
    job = Job(locations, declared, kind, slices, declaration, bytes(32), limits)
    with cut.opened(job, ReadReport(), home=folder / "scratch"):
        pass


def partition_file(path: Path, folder: Path) -> None:
    """Have DuckDB write one Parquet file for each month and half of the users."""
    month, bucket = "month(make_timestamp(admitted * 1000000))", "hash(patient) % 2"
    query = f"SELECT *, {month} AS month, {bucket} AS bucket FROM {READERS[path.name]}"  # noqa: S608
    duckdb.connect().execute(
        f"COPY ({query}) TO '{folder}' (FORMAT parquet, PARTITION_BY (month, bucket))", [str(path)]
    )


def seconds(action: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """Return how long an action takes that writes into a new folder, by the clock and of all processors."""
    start, start_used = time.perf_counter(), sum(os.times()[:4])
    action(folder)
    taken = time.perf_counter() - start, sum(os.times()[:4]) - start_used
    shutil.rmtree(folder)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory-mib", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=Limits().workers)
    options = parser.parse_args()
    limits = Limits(options.memory_mib * MIB, options.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder, options.rows)
        (folder / "schema.yaml").write_text(SCHEMA)
        declared = schema.read(folder / "schema.yaml")
        for file in READERS:
            path, out, turns = folder / file, folder / "out", []
            for _ in range(options.turns):
                plain = seconds(partial(partition_file, path), out)
                turns.append((plain, seconds(partial(cut_file, path, declared=declared, limits=limits), out)))
            show(path, options.rows, turns)


def show(path: Path, rows: int, turns: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    """Print the medians of some turns, each DuckDB's seconds and ours."""
    print(f"{path.name}: {rows:,} records, {path.stat().st_size // MIB} MiB")
    for kind, name in enumerate(("by the clock", "of the processors")):
        plain, ours = (statistics.median(taken[kind] for taken in column) for column in zip(*turns, strict=True))
        ratio = statistics.median(mine[kind] / theirs[kind] for theirs, mine in turns)
        print(f"  records a second {name}: DuckDB {rows / plain:,.0f}, cut {rows / ours:,.0f}, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
