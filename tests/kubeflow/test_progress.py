"""What a user sees of a local run: a live list of steps on a terminal, plain lines in a file."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest
from rich.console import Console

from pipelines import dp_lstm
from privatekube.kubeflow import container_steps, progress, time_left
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import Steps

ROOT = Path(__file__).resolve().parents[2]
STANDARD = StepComponents.of_project(ROOT, dp_lstm.STEPS)
PROGRAM = "import sys; print('measured'); sys.exit(int(sys.argv[1]))\n"


@pytest.fixture
def components(tmp_path: Path) -> StepComponents:
    """The project's components, with another one in place of dp_evaluate whose folder has another name."""
    folder = tmp_path / "measure"
    folder.mkdir()
    (folder / "__main__.py").write_text(PROGRAM)
    standard = STANDARD.folders["dp_evaluate"] / "component.yaml"
    (folder / "component.yaml").write_text(standard.read_text())
    return STANDARD.replace([f"dp_evaluate={folder}"])


class Terminal:
    """A pseudo-terminal of 80 columns: programs write to `file`, and a thread collects what comes out of it."""

    def __init__(self) -> None:
        self._main, secondary = pty.openpty()
        self._written = b""
        self._reader = threading.Thread(target=self._read)
        self.file: TextIO = os.fdopen(secondary, "w")
        self._reader.start()

    @property
    def console(self) -> Console:
        return Console(file=self.file, width=80)

    def screen(self) -> str:
        """Close the terminal and return all that was written to it."""
        self.file.close()
        self._reader.join()
        return self._written.decode()

    def _read(self) -> None:
        with contextlib.suppress(OSError), os.fdopen(self._main, "rb", buffering=0) as opened:  # closed: EIO
            while chunk := opened.read(1 << 16):
                self._written += chunk


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.screen()


class Container:
    """A container of docker's SDK that has written one line and ended."""

    def __init__(self, status: int) -> None:
        self._status = status

    def logs(self, **_: object) -> list[bytes]:
        return [b"measured\n"]

    def wait(self) -> dict[str, int]:
        return {"StatusCode": self._status}

    def remove(self, **_: object) -> None:
        """Nothing is left."""


class Client:
    """A docker client whose containers run nothing and end with the status that the command's last word says."""

    class api:  # noqa: N801 - as in docker's SDK
        timeout = 60

    class containers:  # noqa: N801 - as in docker's SDK
        @staticmethod
        def run(*, command: Sequence[str], **_: Any) -> Container:
            return Container(int(command[-1]))


def run_here(steps: Steps, command: list[str]) -> int:
    return steps.run(command, {})


def run_in_container(steps: Steps, command: list[str]) -> int:
    return container_steps.replacement(steps)(Client, "image", command, {})


def last_frame(screen: str) -> dict[str, str]:
    """The lines of the list as it was drawn last, by step."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    return {words[1]: " ".join(words) for line in plain.splitlines() if (words := line.split())}


@pytest.mark.parametrize("run", [run_here, run_in_container])
@pytest.mark.parametrize(("status", "mark"), [(0, "✓"), (3, "✗")])
def test_a_component_of_another_name_is_shown_as_the_step_that_it_replaces(
    terminal: Terminal, components: StepComponents, run: Callable[[Steps, list[str]], int], status: int, mark: str
) -> None:
    with progress.RunView(terminal.console, components.steps) as view:
        steps = Steps(components, view.observer)
        assert run(steps, ["python3", "-m", "measure", str(status)]) == status
    frame = last_frame(terminal.screen())
    assert list(frame) == list(dp_lstm.STEPS)
    assert frame["dp_evaluate"] == f"{mark} dp_evaluate measured"
    assert {step: line for step, line in frame.items() if line.startswith("·")}.keys() == {*dp_lstm.STEPS} - {
        "dp_evaluate"
    }
    assert (steps.failure.step if steps.failure else None) == ("dp_evaluate" if status else None)


def test_a_step_that_is_not_listed_is_appended_even_if_it_writes_nothing(terminal: Terminal) -> None:
    with progress.RunView(terminal.console, ["allocate"]) as view:
        steps = Steps(StepComponents.of_project(ROOT, ["allocate"]), view.observer)
        view.observer.on_start(steps.components.step_of(["python3", "-m", "other", "0"]))
    assert list(last_frame(terminal.screen())) == ["allocate", "other"]


def test_a_step_that_counts_shows_how_long_it_will_still_take(monkeypatch: pytest.MonkeyPatch) -> None:
    written, clock = io.StringIO(), iter([0.0, 5.0, 50.0, 60.0, 61.0])
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    with progress.RunView(Console(file=written), ["download"]) as view:
        for done in (1, 2, 9, 10):
            view.observer.on_line("download", f"fetched block {done} of 10")
        view.observer.on_line("download", "opened the data")
    assert [line.partition("of 10")[2] for line in written.getvalue().splitlines()] == [
        *("", ", about 40 s left", ", about 6 s left", "", ""),
    ]


@pytest.mark.parametrize("lines", [("fetched block 1 of 3",), ("step 5 of 9", "step 1 of 9"), ("1 of 9", "2 of 8")])
def test_nothing_is_said_about_the_time_left_before_two_counts_of_the_same(lines: tuple[str, ...]) -> None:
    estimate = time_left.TimeLeft()
    assert [estimate.after(line, now=10.0 * number) for number, line in enumerate(lines)] == [""] * len(lines)


def test_without_a_terminal_each_line_is_printed_with_its_step() -> None:
    written = io.StringIO()
    with progress.RunView(Console(file=written, width=20), ["allocate"]) as view:
        view.observer.on_line("allocate", "granted [2 blocks] after a wait of some seconds")
    assert written.getvalue() == "allocate: granted [2 blocks] after a wait of some seconds\n"
