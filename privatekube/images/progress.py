"""Shows how images come along: a live line each on a terminal, else one line for each that is done."""

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
def shown(console: Console) -> Iterator[Report]:
    """A report that shows what it is told."""
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description:<14} {task.fields[state]:<9}", markup=False),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[line]}", markup=False),
    )
    live = progress.Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    tasks: dict[str, progress.TaskID] = {}
    begun: dict[str, float] = {}
    lock = threading.Lock()

    def report(name: str, state: str, line: str) -> None:
        with lock:
            begun.setdefault(name, time.monotonic())
            if name not in tasks:
                tasks[name] = live.add_task(name, total=None, state=state, line="")
            room = max(console.width - 45, 10)
            live.update(tasks[name], state=state, line=line[:room])
            if state in DONE:
                live.remove_task(tasks[name])
                seconds = f"{time.monotonic() - begun[name]:6.1f} s"
                console.print(f"{name:<14} {state:<9} {seconds}  {line}", markup=False, highlight=False, soft_wrap=True)

    with live:
        yield report
