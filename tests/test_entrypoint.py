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
