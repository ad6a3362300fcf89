"""How commands end: one line for a known error, nothing of the data for an unknown one."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import waiting

ROOT = Path(__file__).resolve().parents[1]


def run(body: str) -> subprocess.CompletedProcess[str]:
    program = "from privatekube import entrypoint, errors\n" + body
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=waiting.PATIENCE_SECONDS,
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


# Short sleeps: a signal that comes just before a sleep begins does not cut it short, it is handled after it.
WAITING = """
import signal, sys, time
from privatekube import entrypoint

def work():
    try:
        print("started", flush=True)
        for _ in range(600):
            time.sleep(0.1)
    finally:
        print("cleaning", flush=True)
        time.sleep(1)
        print("clean", flush=True)

entrypoint.run(work)
"""


def start_waiting(preexec: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WAITING]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=preexec)  # noqa: PLW1509
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_a_second_one_does_not_disturb_the_cleaning_up(number: signal.Signals) -> None:
    with start_waiting() as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "cleaning\n"
        for other in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            process.send_signal(other)
        assert process.communicate(timeout=waiting.PATIENCE_SECONDS) == ("clean\n", "interrupted\n")
        assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_callback_from_which_python_drops_exceptions_interrupts_all_the_same(
    number: signal.Signals,
) -> None:
    body = f"""
import os, time, weakref
class Thing: pass
def f():
    thing = Thing()
    kept = weakref.ref(thing, lambda _: [os.kill(os.getpid(), {number:d}), sum(range(10))])
    del thing
    time.sleep(5)
    print("went on", flush=True)
entrypoint.run(f)
"""
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_command_under_nohup_survives_its_terminal() -> None:
    with start_waiting(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=waiting.PATIENCE_SECONDS)[0] == "cleaning\nclean\n"


APP = "import sys, typer\nfrom privatekube.cli import console, typer_app\napp = typer.Typer()\n"


def test_ctrl_c_in_a_typer_command_says_that_it_was_interrupted() -> None:
    done = run(APP + "@app.command()\ndef f(): raise KeyboardInterrupt\nsys.argv[1:] = []\ntyper_app.run(app)")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


IMPORTING = """
import time
print("importing", flush=True)
for _ in range(600):
    time.sleep(0.1)
"""


@pytest.mark.parametrize("entry", ["run_pipeline.py", "demo_blocks.py", "build_components.py", "privatekube"])
def test_ctrl_c_while_a_command_is_importing_says_that_it_was_interrupted(entry: str, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(IMPORTING)
    command = [entry] if entry.endswith(".py") else ["-c", installed_script(entry)]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=waiting.PATIENCE_SECONDS) == ("", "interrupted\n")
        assert process.returncode == 130


def installed_script(name: str) -> str:
    """Return what an installer writes for a console script."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, function = project["scripts"][name].split(":")
    return f"from {module} import {function}\n{function}()"


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
        assert process.wait(waiting.PATIENCE_SECONDS) == 0


def test_a_typer_command_exits_with_the_status_that_it_returns() -> None:
    done = run(APP + "@app.command()\ndef f() -> int: return 3\nsys.argv[1:] = []\ntyper_app.run(app)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_a_command_whose_progress_nobody_reads_any_more_goes_on_to_its_end(tmp_path: Path) -> None:
    body = "    terminal = console.progress_console()\n    [terminal.print('line') for _ in range(100)]\n"
    end = f"    open({str(tmp_path / 'end')!r}, 'w').close()\n"
    program = APP + "@app.command()\ndef f():\n" + body + end + "sys.argv[1:] = []\ntyper_app.run(app)"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.wait(waiting.PATIENCE_SECONDS) == 0
    assert (tmp_path / "end").exists()


def test_closing_the_terminal_interrupts_a_command_which_cleans_up_without_it(tmp_path: Path) -> None:
    body = "    terminal = console.progress_console()\n    try:\n        terminal.print('started')\n"
    body += "        for _ in range(600): time.sleep(0.1)\n    finally:\n        terminal.print('cleaning')\n"
    body += f"        open({str(tmp_path / 'clean')!r}, 'w').close()\n"
    program = "import time\n" + APP + "@app.command()\ndef f():\n" + body + "sys.argv[1:] = []\ntyper_app.run(app)"
    main, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{program}"],
        cwd=ROOT,
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    )
    os.close(secondary)
    with process:
        written = b""
        while b"started" not in written:
            written += os.read(main, 1024)
        os.close(main)
        assert process.wait(waiting.PATIENCE_SECONDS) == 130
    assert (tmp_path / "clean").exists()


@pytest.mark.parametrize(("is_in_pod", "left"), [(True, "error: block a lacks budget"), (False, None)])
def test_a_step_in_a_pod_leaves_its_reason_where_kubeflow_looks_for_it(
    tmp_path: Path, is_in_pod: bool, left: str | None
) -> None:
    path = tmp_path / "termination-log"
    if is_in_pod:
        path.touch()
    body = "def f(): raise errors.BudgetUnavailable('block a lacks budget')\nentrypoint.run(f)"
    done = run(f"entrypoint.TERMINATION_LOG = {str(path)!r}\n{body}")
    assert (done.returncode, done.stderr) == (3, "error: block a lacks budget\n")
    assert (path.read_text() if path.exists() else None) == left
