"""What a person sees while a run goes on here: a live list of steps on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from privatekube.kubeflow.subprocess_steps import Observer

MARKS = {"waiting": ("·", "dim"), "done": ("✓", "green"), "failed": ("✗", "red")}


class RunView:
    """Shows the steps of a run; a context manager."""

    def __init__(self, console: Console, steps: Iterable[str]) -> None:
        self._console = console
        self._state = dict.fromkeys(steps, "waiting")
        self._line = dict.fromkeys(self._state, "")
        self._spinner = Spinner("dots")
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=False)
        self.observer = Observer(begun=self._begun, wrote=self._wrote, ended=self._ended)

    def __enter__(self) -> RunView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def _begun(self, step: str) -> None:
        self._state[step] = "running"

    def _wrote(self, step: str, line: str) -> None:
        self._line[step] = line
        if not self._console.is_terminal:
            self._console.print(f"{step}: {line}", markup=False, highlight=False, soft_wrap=True)

    def _ended(self, step: str, exit_status: int) -> None:
        self._state[step] = "failed" if exit_status else "done"

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for step, state in self._state.items():
            mark = self._spinner if state == "running" else Text(*MARKS[state])
            table.add_row(mark, Text(step), Text(self._line[step], style="dim", overflow="ellipsis", no_wrap=True))
        return table
