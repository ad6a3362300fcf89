"""Measure what a local run of the pipeline costs, step by step: seconds by the clock, of processor time, and memory.

    python benchmarks/run_steps.py
    python benchmarks/run_steps.py --days 196 --users 5 --set n_epochs=1
    python benchmarks/run_steps.py --blocks 1000 --reviews 2000 --set model=linear --set n_epochs=1 --folder /big/disk

The second makes 980 blocks, the third 1,000 of 2,000 random reviews each. The processor time of a step is that of its
process, its memory the largest that the process had of its own at a time. `shared imports` is the process that imports
libraries once for all steps, beside the first of them; `command` is the process that compiles the pipeline and starts
the steps. Where other programs run, only processor times can be compared.
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

import peak_memory
import typer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Table:
    """Rows of a name, seconds by the clock, seconds of processor time, and bytes of memory."""

    rows: list[tuple[str, float, float, int]] = field(default_factory=list)

    @contextlib.contextmanager
    def row(self, name: str, processor_seconds: Callable[[], float]) -> Iterator[None]:
        """Measure a block."""
        start, used = time.monotonic(), processor_seconds()
        yield
        self.rows.append((name, time.monotonic() - start, processor_seconds() - used, 0))

    def show(self) -> None:
        """Print the rows, their sums, and the largest memory."""
        _, seconds, processor, memory = zip(*self.rows, strict=True)
        for row in (*self.rows, ("all", sum(seconds), sum(processor), max(memory))):
            print("{:16}{:9.1f} s{:9.1f} s of processor time{:9.0f} MiB".format(*row[:3], row[3] / 2**20))


class Measured:
    """An observer's functions, which add a row for each step.

    Args:
        table: gets the rows.
        memory: of the steps.
    """

    def __init__(self, table: Table, memory: peak_memory.PeakMemory) -> None:
        self._table, self._memory, self._start = table, memory, (0.0, 0.0)

    def on_start(self, _step: str) -> None:
        """Note when a step starts."""
        self._memory.take()
        self._start = (time.monotonic(), of_steps())

    def on_end(self, step: str, _status: int) -> None:
        """Add the row of a step that has ended."""
        seconds, processor = time.monotonic() - self._start[0], of_steps() - self._start[1]
        self._table.rows.append((step, seconds, processor, self._memory.take()))


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


def main(  # noqa: PLR0917 - the options of a command
    days: Annotated[int, typer.Option(help="Days of synthetic reviews.")] = 10,
    users: Annotated[int, typer.Option(help="Buckets of users: blocks of a day.")] = 1,
    blocks: Annotated[int, typer.Option(help="Blocks of random reviews, instead of days; 0 for days.")] = 0,
    reviews: Annotated[int, typer.Option(help="Reviews of each of these blocks.")] = 2_000,
    folder: Annotated[Path | None, typer.Option(help="Disk for all files; they are removed at the end.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one argument.")] = None,
) -> None:
    """Create blocks, run the pipeline on them, and print what each step took."""
    table = Table()
    with tempfile.TemporaryDirectory(dir=folder) as work, peak_memory.PeakMemory().sampled() as memory:
        os.environ["PRIVATEKUBE_STORE"] = f"sqlite:///{work}/state.db"
        with table.row("create", of_steps):
            if blocks:
                create_random(work, blocks, reviews)
            else:
                create(work, days, users)
        run(table, memory, Path(work), [*(set_ or []), f"prefix={work}/out"])
    table.show()


def create(folder: str, days: int, users: int) -> None:
    """Create the blocks of synthetic reviews in a process of its own."""
    command = [sys.executable, "demo_blocks.py", "create", "--days", str(days), "--users", str(users)]
    subprocess.run([*command, "--data-dir", f"{folder}/data"], cwd=ROOT, check=True)  # noqa: S603 - our own command


def create_random(folder: str, blocks: int, reviews: int) -> None:
    """Create the blocks of random reviews in a process of its own, whose libraries do not count as the command's."""
    command = [sys.executable, "benchmarks/random_blocks.py", f"{folder}/data", str(blocks), str(reviews)]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own command


def run(table: Table, memory: peak_memory.PeakMemory, folder: Path, overrides: list[str]) -> None:
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
    measured = Measured(table, memory)
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
    table.rows.append(("command", 0.0, time.process_time() - before, 0))
    table.rows.append(("shared imports", 0.0, sum(processor_times()[0]), 0))


if __name__ == "__main__":
    typer.run(main)
