"""Processes that are started through `timeout`: ending them, and having them stand still."""

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
_STANDING_SECONDS, _GOING_SECONDS = 0.5, 0.1


def end(process: Process, *, seconds: float) -> None:
    """Have a process end, and end it after so long."""
    child = _child_of(process) if process.poll() is None else None
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        if child is not None:
            os.kill(child, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def standing_still(process: Process) -> Iterator[None]:
    """The process stands still for half a second, again and again, for as long as the context is open."""
    child = _child_of(process)
    with meanwhile(partial(_stop_and_go, child)):
        yield


@contextlib.contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Repeat `action` in a thread for as long as the context is open."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stop_and_go(process: int) -> None:
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(_STANDING_SECONDS)
    finally:
        os.kill(process, signal.SIGCONT)
    time.sleep(_GOING_SECONDS)


def _child_of(process: Process) -> int:
    """The process that `timeout` runs."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
