"""Show the progress of a build: a live line for each image on a terminal, else a line for each finished image."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich import progress
from rich.console import Console

from privatekube.images.building import Report

DONE = ("built", "unchanged")


@contextlib.contextmanager
def show(console: Console) -> Iterator[Report]:
    """Yield a report function that shows what it is called with."""
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description:<14} {task.fields[state]:<9}", markup=False),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[line]}", markup=False),
    )
    live = progress.Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    tasks: dict[str, progress.TaskID] = {}
    started: dict[str, float] = {}
    lock = threading.Lock()

    def report(name: str, state: str, line: str) -> None:
        with lock:
            started.setdefault(name, time.monotonic())
            if name not in tasks:
                tasks[name] = live.add_task(name, total=None, state=state, line="")
            line_width = max(console.width - 45, 10)
            live.update(tasks[name], state=state, line=line[:line_width])
            if state in DONE:
                live.remove_task(tasks[name])
                seconds = f"{time.monotonic() - started[name]:6.1f} s"
                console.print(f"{name:<14} {state:<9} {seconds}  {line}", markup=False, highlight=False, soft_wrap=True)

    with live:
        yield report
