"""A step that is a copy of a process with the libraries is like one that `python -m` starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from privatekube.kubeflow import forked_steps
from privatekube.kubeflow.forked_steps import ForkedStep, ForkServer
from privatekube.kubeflow.step_components import StepComponents
from tests import waiting

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not forked_steps.IS_AVAILABLE, reason="fork is used on Linux alone")

DRAWS = "import numpy as np; print(np.random.random())"
SAYS = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ.get("GIVEN"), os.environ.get("NOT_GIVEN"), __name__, sys.path[0])
print("warned", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    started = ForkServer.start(["numpy.random"], {**os.environ, "NOT_GIVEN": "by the step", "PYTHONPATH": str(ROOT)})
    yield started
    started.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(server: ForkServer, program: str, *words: str) -> ForkedStep:
    Path("program.py").write_text(program)
    return server.run("program", words, {"GIVEN": "1", "PYTHONPATH": str(ROOT)})


def ended(server: ForkServer, program: str, *words: str) -> tuple[int, str]:
    with start(server, program, *words) as step:
        written = step.stdout.read()
        return step.wait(), written


def test_a_step_has_its_arguments_variables_folder_and_output(server: ForkServer, folder: Path) -> None:
    status, written = ended(server, SAYS, "--a", "b c")
    assert status == 0
    assert set(written.splitlines()) == {f"['--a', 'b c'] {folder} 1 None __main__ {folder}", "warned"}


@pytest.mark.parametrize(
    ("end", "status", "written"),
    [
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('error: budget: not there')", 1, "error: budget: not there\n"),
        ("os.kill(os.getpid(), 9)", -9, ""),
        ("atexit.register(lambda: print('last'))", 0, "last\n"),
        ("threading.Thread(target=lambda: (time.sleep(0.2), print('later'))).start()", 0, "later\n"),
    ],
)
def test_a_step_ends_as_any_python_does(server: ForkServer, end: str, status: int, written: str) -> None:
    assert ended(server, f"import atexit, os, sys, threading, time\n{end}") == (status, written)


def test_an_unexpected_error_is_status_1_with_its_traceback(server: ForkServer) -> None:
    status, written = ended(server, "1 / 0")
    assert status == 1
    assert written.endswith("ZeroDivisionError: division by zero\n")


def test_no_two_steps_draw_the_same_random_numbers(server: ForkServer) -> None:
    assert len({ended(server, DRAWS)[1] for _ in range(3)}) == 3


def test_a_step_is_terminated_and_killed(server: ForkServer) -> None:
    waits = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(90)"
    )
    with start(server, waits) as step:
        assert step.stdout.readline() == "up\n"
        assert Path(f"/proc/{step.pid}/comm").read_text() == "program\n"
        step.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            step.wait(0.1)
        step.kill()
        assert step.wait() == -signal.SIGKILL
    step.kill()  # its number may be another process's by now


def test_a_step_ends_with_its_server_and_the_server_with_the_process_that_started_it(folder: Path) -> None:
    program = """
import os, sys, time
from privatekube.kubeflow.forked_steps import ForkServer
from privatekube.steps import arguments
server = ForkServer.start([], {**os.environ, arguments.PARENT: str(os.getpid())})
step = server.run("program", [], dict(os.environ))
print(server.process.pid, step.pid, flush=True)
time.sleep(90)
"""
    Path("program.py").write_text("import time; time.sleep(90)")
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as run:
        assert run.stdout is not None
        processes = run.stdout.readline().split()
        run.kill()
    for process in processes:
        waiting.until_ended(int(process))


def test_a_step_that_was_asked_for_does_not_start_after_an_interruption(folder: Path) -> None:
    (folder / "busy.py").write_text("import time; open('busy', 'w').close(); time.sleep(90)")
    server = ForkServer.start(["busy"], {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])})
    waiting.until((folder / "busy").exists)  # it answers when it has imported this
    before = signal.signal(signal.SIGALRM, interrupt_once)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_and_interrupt(server)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert server.process.wait(waiting.PATIENCE_SECONDS) == -signal.SIGKILL
    server.close()


def start_and_interrupt(server: ForkServer) -> None:
    """Start a step, with an alarm every now and then: one that comes just before a system call does not end it."""
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    start(server, "open('started', 'w')")


def interrupt_once(*_: object) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt


def test_a_run_gets_another_server_when_its_own_has_ended_or_a_variable_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    components = StepComponents.of_project(ROOT, ())
    first = forked_steps.server(components, dict(os.environ))
    assert forked_steps.server(components, {**os.environ, "PRIVATEKUBE_STORE": "another"}) is first
    first.process.kill()
    first.process.wait()
    second = forked_steps.server(components, dict(os.environ))
    assert second is not first
    assert forked_steps.server(components, {**os.environ, "OMP_NUM_THREADS": "7"}) is not second
    assert second.process.returncode is not None


def test_only_modules_of_the_library_are_imported_before_a_step_starts(folder: Path) -> None:
    (folder / "__main__.py").write_text(
        "import own\nfrom other import it\nfrom privatekube.steps import dp_step, arguments"
    )
    broken = folder / "broken"
    broken.mkdir()
    (broken / "__main__.py").write_text("def")
    wanted = ["privatekube.steps.dp_step", "privatekube.steps.arguments"]
    assert forked_steps.libraries([folder, broken, folder / "missing", folder]) == wanted


@pytest.mark.parametrize(
    ("command", "variables", "possible"),
    [
        (["python3", "-m", "components.upload", "x"], {}, True),
        (["python3", "-m", "components.upload"], {"OMP_NUM_THREADS": "2"}, False),
        (["python3", "program.py"], {}, False),
    ],
)
def test_a_step_with_variables_of_its_own_is_a_new_process(
    command: list[str], variables: dict[str, str], possible: bool
) -> None:
    assert forked_steps.is_possible(command, variables) == possible
