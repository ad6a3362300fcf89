"""A component's command line is checked against its signature, and a step ends with the run that started it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import pydantic
import pytest

from privatekube import errors, validation
from privatekube.steps import arguments
from tests import waiting

ROOT = Path(__file__).resolve().parents[2]


def step(
    *, run_id: validation.Text, n_epochs: Annotated[int, pydantic.Field(ge=1)], epsilon: float = 1.0, grant: Path
) -> None:
    """Do one thing."""


def test_arguments_reach_the_step_checked_and_typed() -> None:
    parsed = arguments.parse(step, ["--run-id", "r", "--n-epochs", "3", "--grant", "g"])
    assert parsed == {"run_id": "r", "n_epochs": 3, "epsilon": 1.0, "grant": Path("g")}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--n-epochs", "1.5"], r"n_epochs: '1.5' must be a valid integer"),
        (["--n-epochs", "0"], r"n_epochs: '0' must be greater than or equal to 1"),
        (["--n-epochs", "null"], r"n_epochs: 'null'"),
        (["--n-epochs", "1", "--epsilon", "lots"], r"epsilon: 'lots' must be a valid number"),
        (["--epochs", "3"], r"--epochs is unknown; known are --run-id"),
        (["--n-epochs"], r"--n-epochs needs a value"),
        (["--n-epochs", "1", "--n-epochs", "2"], r"--n-epochs is given twice"),
        ([], r"n_epochs: missing"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(given: list[str], message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        arguments.parse(step, ["--run-id", "r", "--grant", "g", *given])


def test_help_tells_what_a_component_does_and_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "components.consume", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "Commit the Grant's budget" in done.stdout
    assert "--spend" in done.stdout


def test_a_list_of_files_takes_its_flag_once_for_each_and_at_least_once() -> None:
    def pay(*, grant: Path, spend: Annotated[list[Path], "a mark"]) -> None: ...

    words = ["--spend", "a", "--grant", "g", "--spend", "b"]
    assert arguments.parse(pay, words) == {"grant": Path("g"), "spend": [Path("a"), Path("b")]}
    with pytest.raises(errors.InvalidInput, match="spend: missing"):
        arguments.parse(pay, ["--grant", "g"])
    with pytest.raises(errors.InvalidInput, match="--spend needs a value"):
        arguments.parse(pay, ["--grant", "g", "--spend"])
    with pytest.raises(errors.InvalidInput, match="--grant is given twice"):
        arguments.parse(pay, [*words, "--grant", "h"])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_step_does_not_outlive_the_run_that_started_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"""
        import os, pathlib, time
        def f():
            pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))
            for _ in range(600):  # short: a signal just before a sleep begins does not cut it short
                time.sleep(0.1)
        arguments.run_component(f, [])
    """
    program = "from privatekube.steps import arguments\n" + textwrap.dedent(child)
    starter = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {program!r}], "
        "env={**os.environ, 'PRIVATEKUBE_PARENT': str(os.getpid())}, start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT)
    try:
        waiting.until(lambda: pid_file.exists() and bool(pid_file.read_text()))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    waiting.until_ended(int(pid_file.read_text()))
