"""Measure what a local run of the pipeline costs, step by step: seconds by the clock, and of processor time.

    python benchmarks/run_steps.py
    python benchmarks/run_steps.py --days 196 --users 5 --set n_epochs=1

The second makes 980 blocks. The processor time of a step is that of its process. `shared imports` is the process that
imports libraries once for all steps, beside the first of them; `command` is the process that compiles the pipeline and
starts the steps. Where other programs run, only processor times can be compared.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Table:
    """Rows of a name, seconds by the clock, and seconds of processor time."""

    rows: list[tuple[str, float, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def row(self, name: str, processor_seconds: Callable[[], float]) -> Iterator[None]:
        """Measure a block."""
        start, used = time.monotonic(), processor_seconds()
        yield
        self.rows.append((name, time.monotonic() - start, processor_seconds() - used))

    def show(self) -> None:
        """Print the rows and their sums."""
        rows = [*self.rows, ("all", sum(row[1] for row in self.rows), sum(row[2] for row in self.rows))]
        for name, seconds, processor in rows:
            print(f"{name:16}{seconds:8.1f} s{processor:8.1f} s of processor time")


class Measured:
    """An observer's functions, which add a row for each step.

    Args:
        table: gets the rows.
    """

    def __init__(self, table: Table) -> None:
        self._table, self._start = table, (0.0, 0.0)

    def on_start(self, _step: str) -> None:
        """Note when a step starts."""
        self._start = (time.monotonic(), of_steps())

    def on_end(self, step: str, _status: int) -> None:
        """Add the row of a step that has ended."""
        seconds, processor = time.monotonic() - self._start[0], of_steps() - self._start[1]
        self._table.rows.append((step, seconds, processor))


def of_command() -> float:
    """Return the processor time of this process."""
    return time.process_time()


def of_steps() -> float:
    """Return the processor time of processes that have ended below this one, or below a process that it started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + sum(processor_times()[1])


def processor_times() -> tuple[list[float], list[float]]:
    """Return the processor time of each process that this one has started, and of those that have ended below it."""
    own, below = [], []
    for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()
        own.append((int(fields[11]) + int(fields[12])) / _TICK)  # utime and stime of proc(5), counted from state
        below.append((int(fields[13]) + int(fields[14])) / _TICK)  # cutime and cstime
    return own, below


def main(
    days: Annotated[int, typer.Option(help="Days of synthetic reviews.")] = 10,
    users: Annotated[int, typer.Option(help="Buckets of users: blocks of a day.")] = 1,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one argument.")] = None,
) -> None:
    """Create blocks, run the pipeline on them, and print what each step took."""
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRIVATEKUBE_STORE"] = f"sqlite:///{folder}/state.db"
        with table.row("create", of_steps):
            create(folder, days, users)
        run(table, Path(folder), [*(set_ or []), f"prefix={folder}/out"])
    table.show()


def create(folder: str, days: int, users: int) -> None:
    """Create the blocks in a process of its own."""
    command = [sys.executable, "demo_blocks.py", "create", "--days", str(days), "--users", str(users)]
    subprocess.run([*command, "--data-dir", f"{folder}/data"], cwd=ROOT, check=True)  # noqa: S603 - our own command


def run(table: Table, folder: Path, overrides: list[str]) -> None:
    """Run the pipeline as run_pipeline.py does, and measure its steps."""
    with table.row("command", of_command):
        from pipelines import dp_lstm  # noqa: PLC0415 - what it takes to import is measured
        from privatekube.kubeflow import kfp_local, step_components, subprocess_steps  # noqa: PLC0415
        from privatekube.runs import checked_run, hook, run_arguments  # noqa: PLC0415
        from privatekube.training import machine  # noqa: PLC0415

        arguments = run_arguments.load(ROOT / "arguments.yaml", overrides)
        components = step_components.StepComponents.of_project(ROOT, dp_lstm.STEPS)
        hook.run(checked_run.CheckedRun(arguments, machine.available_memory()))
        pipeline = dp_lstm.build(components.folders, in_images=False)
    before = time.process_time()
    measured = Measured(table)
    failure = kfp_local.run(
        pipeline,
        arguments.model_dump(mode="json"),
        run_id="measured",
        work=folder / "work",
        workspace=folder / "workspace",
        components=components,
        observer=subprocess_steps.Observer(
            on_start=measured.on_start, on_line=lambda _step, _line: None, on_end=measured.on_end
        ),
        log=io.StringIO(),
    )
    if failure is not None:
        raise SystemExit(f"{failure.step}: {failure.line}")
    table.rows.append(("command", 0.0, time.process_time() - before))
    table.rows.append(("shared imports", 0.0, sum(processor_times()[0])))


if __name__ == "__main__":
    typer.run(main)
