"""How commands end: one line for a known error, nothing of the data for an unknown one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(body: str) -> subprocess.CompletedProcess[str]:
    program = "from privatekube import entrypoint, errors\n" + body
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def test_a_known_error_is_one_line_and_its_own_exit_status() -> None:
    done = run("def f(): raise errors.BudgetUnavailable('block a lacks budget')\nentrypoint.run(f)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "error: block a lacks budget\n")


def test_an_unexpected_error_of_a_step_that_reads_data_says_nothing_of_the_data() -> None:
    done = run("def f(): raise ValueError('customer 4711 wrote: great soap')\nentrypoint.run(f, scrubbed=True)")
    assert done.returncode == 1
    assert "4711" not in done.stderr + done.stdout
    assert "unexpected ValueError at <string>:2" in done.stderr


def test_an_unexpected_error_elsewhere_keeps_its_traceback() -> None:
    done = run("def f(): raise ValueError('bug')\nentrypoint.run(f)")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_ctrl_c_ends_with_130() -> None:
    assert run("def f(): raise KeyboardInterrupt\nentrypoint.run(f)").returncode == 130


APP = "import sys, typer\nfrom privatekube.cli import console, typer_app\napp = typer.Typer()\n"


def test_ctrl_c_in_a_typer_command_says_that_it_was_interrupted() -> None:
    done = run(APP + "@app.command()\ndef f(): raise KeyboardInterrupt\nsys.argv[1:] = []\ntyper_app.run(app)")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_closed_pipe_ends_a_typer_command_with_status_0() -> None:
    body = "    while True: console.console().print('line')\n"
    program = APP + "@app.command()\ndef f():\n" + body + "sys.argv[1:] = []\ntyper_app.run(app)"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_typer_command_exits_with_the_status_that_it_returns() -> None:
    done = run(APP + "@app.command()\ndef f() -> int: return 3\nsys.argv[1:] = []\ntyper_app.run(app)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
