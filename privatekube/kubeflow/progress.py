"""Show a local run while it goes on: a live list of steps on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from privatekube.kubeflow.subprocess_steps import Observer
from privatekube.kubeflow.time_left import TimeLeft

MARKS = {"waiting": ("·", "dim"), "done": ("✓", "green"), "failed": ("✗", "red")}


class RunView:
    """Shows the steps of a run; a context manager.

    Args:
        console: where to draw or print.
        steps: names of the steps in the order in which they are listed; a step that is not among them is appended
            when it starts.
    """

    def __init__(self, console: Console, steps: Iterable[str]) -> None:
        self._console = console
        self._states = dict.fromkeys(steps, "waiting")
        self._lines: dict[str, str] = {}
        self._time_left: dict[str, TimeLeft] = {}
        self._spinner = Spinner("dots")
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=False)
        self.observer = Observer(on_start=self._on_start, on_line=self._on_line, on_end=self._on_end)

    def __enter__(self) -> RunView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def _on_start(self, step: str) -> None:
        self._states[step] = "running"

    def _on_line(self, step: str, line: str) -> None:
        time_left = self._time_left.setdefault(step, TimeLeft()).after(line, now=time.monotonic())
        self._lines[step] = f"{line}, {time_left}" if time_left else line
        if not self._console.is_terminal:
            self._console.print(f"{step}: {self._lines[step]}", markup=False, highlight=False, soft_wrap=True)

    def _on_end(self, step: str, exit_status: int) -> None:
        self._states[step] = "failed" if exit_status else "done"

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for step, state in list(self._states.items()):
            mark = self._spinner if state == "running" else Text(*MARKS[state])
            line = Text(self._lines.get(step, ""), style="dim", overflow="ellipsis", no_wrap=True)
            table.add_row(mark, Text(step), line)
        return table
