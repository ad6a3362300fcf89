"""Cut a table of Parquet by Spark, in turns with the local engine: the same command, file and number of cores.

    PYTHONPATH=. uv run --with duckdb --with psutil python benchmarks/spark_cutting.py --rows 10000 800000

Spark has two threads of this machine (`local[2]`), or a cluster of two workers with a core each, which are processes
of this machine. A small file shows what starting takes. Prints seconds by the clock and of the processors, where those
of all processes that a turn started count: medians of some turns, and the ratio to the local engine. The table is that
of `table_cutting.py`. Needs duckdb and psutil, which are no dependencies of this project.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import table_cutting

from tests.data.cutting.spark import cluster

CREATE = [sys.executable, "-m", "privatekube.cli", "blocks", "create", "--schema", "../schema.yaml", "--source"]
_SET_CHILD_SUBREAPER = 36
Seconds = tuple[float, float]


def adopt_orphans() -> None:
    """Become the parent of processes whose parent ends, so that their time is counted."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def used() -> float:
    """Return the processor time of this process and of all that it has started."""
    times = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children(recursive=True))]
    return sum(sum(one[:4]) for one in times)  # those of ended children, too


def seconds(table: Path, options: list[str], environment: dict[str, str]) -> Seconds:
    """Return how long the command takes to cut a table, by the clock and of all processors."""
    folder = table.parent / "out"
    folder.mkdir()
    start, start_used = time.perf_counter(), used()
    command = [*CREATE, str(table), *options]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)  # noqa: S603 - of this file
    taken = time.perf_counter() - start, used() - start_used
    shutil.rmtree(folder)
    return taken


def show(table: Path, rows: int, taken: dict[str, list[Seconds]]) -> None:
    """Print the medians of some turns."""
    print(f"{table.name}: {rows:,} records, {table.stat().st_size // table_cutting.MIB} MiB")
    local = taken["local"]
    for name, turns in taken.items():
        medians = [statistics.median(column) for column in zip(*turns, strict=True)]
        ratios = [
            statistics.median(spark[kind] / plain[kind] for spark, plain in zip(turns, local, strict=True))
            for kind in range(2)
        ]
        clock, processors = (f"{one:.1f} ({ratio:.1f})" for one, ratio in zip(medians, ratios, strict=True))
        print(f"  {name}: {clock} s by the clock, {processors} s of the processors")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 800_000])
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory() as name, cluster.started(Path(name) / "cluster") as machines:
        folder, plain = Path(name), dict(os.environ)
        engines = {
            "local": (["--workers", "2"], plain),
            "local[2]": (["--engine", "spark", "--master", "local[2]"], plain),
            "two workers": (["--engine", "spark", "--master", machines.master], machines.environment),
        }
        (folder / "schema.yaml").write_text(table_cutting.SCHEMA)
        for rows in options.rows:
            table_cutting.write_table(folder, rows)
            taken: dict[str, list[Seconds]] = {engine: [] for engine in engines}
            for _ in range(options.turns):
                for engine, how in engines.items():
                    taken[engine].append(seconds(folder / "t.parquet", *how))
            show(folder / "t.parquet", rows, taken)


if __name__ == "__main__":
    main()
