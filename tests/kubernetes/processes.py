"""Stop and pause processes that were started through `timeout`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

Process = subprocess.Popen[bytes]
_PAUSED_SECONDS, _RUNNING_SECONDS = 0.5, 0.1


def stop(process: Process, *, seconds: float) -> None:
    """Terminate a process, and kill it if it has not ended after `seconds`."""
    child = _child_of(process) if process.poll() is None else None
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        if child is not None:
            os.kill(child, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def paused(process: Process) -> Iterator[None]:
    """Pause the process while the context is open."""
    child = _child_of(process)
    os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child, signal.SIGCONT)


@contextlib.contextmanager
def pausing(process: Process) -> Iterator[None]:
    """Pause the process for half a second, again and again, while the context is open."""
    child = _child_of(process)
    with repeating(partial(_pause_and_resume, child)):
        yield


@contextlib.contextmanager
def repeating(action: Callable[[], object]) -> Iterator[None]:
    """Repeat `action` in a thread while the context is open."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _pause_and_resume(process: int) -> None:
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(_PAUSED_SECONDS)
    finally:
        os.kill(process, signal.SIGCONT)
    time.sleep(_RUNNING_SECONDS)


def _child_of(process: Process) -> int:
    """Return the id of the process that `timeout` runs."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
