"""The program of a process that imports libraries once, and of which each step of a local run is a copy (fork).

    python -m privatekube.kubeflow.fork_server DESCRIPTOR MODULE...

It imports the modules, one at a time, whenever nobody waits for a step. `forked_steps` is the other end of the socket
DESCRIPTOR. A message is one byte with three descriptors: a file with the Request, the step's output, and a pipe for the
step's process id and then its exit status, each as eight bytes. The server ends when the socket is closed.

It is Linux's alone. Nothing but imports happens before a copy is made, so no copy shares data or randomness with
another: generators that numpy seeded while it was imported are seeded again.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from privatekube.steps import arguments

NUMBER = struct.Struct("q")
"""How a process id and an exit status are sent."""
_LONGEST_NAME = 15
"""Bytes that Linux keeps of the name of a process."""


@dataclass(frozen=True, slots=True)
class Request:
    """A step to start.

    Args:
        module: what `python -m` runs.
        libraries: modules to import before the copy is made, so that they are imported once.
        words: its arguments.
        environment: all variables.
        folder: the working directory.
    """

    module: str
    libraries: list[str]
    words: list[str]
    environment: dict[str, str]
    folder: str

    def encode(self) -> bytes:
        """Return the request as it is sent."""
        return json.dumps(asdict(self)).encode()

    def run(self) -> None:
        """Run the step in this process, in the same way as `python -m`."""
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.folder)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(self.module.rpartition(".")[2][:_LONGEST_NAME])
        sys.path[0] = self.folder
        sys.argv[1:] = self.words
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


@dataclass
class Server:
    """The server's state.

    Args:
        channel: socket that requests come from.
        libraries: names of the modules that are still to be imported.
        running: for each step that runs, by process id, the pipe for its exit status.
    """

    channel: socket.socket
    libraries: deque[str]
    running: dict[int, int] = field(default_factory=dict)

    def serve(self) -> Request | None:
        """Serve until the channel is closed, and return None; in each copy, return the step that it is to run."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # so that the descriptor is written to
        signal.set_wakeup_fd(wake)
        while True:
            ready = select.select([self.channel.fileno(), woken], [], [], 0 if self.libraries else None)[0]
            if woken in ready:
                os.read(woken, 1 << 10)
                self._report_ended()
            if self.channel.fileno() in ready:
                message, descriptors, *_ = socket.recv_fds(self.channel, 1, 3)
                if not message:
                    return None
                request = _received(descriptors[0])
                for module in request.libraries:
                    _import(module)
                if self._fork(*descriptors[1:]):
                    os.close(woken)
                    os.close(wake)
                    return request
            elif self.libraries:
                _import(self.libraries.popleft())

    def _fork(self, output: int, status: int) -> bool:
        """Make a copy, and return whether this process is the copy."""
        gc.freeze()  # a collection in the copy would copy all that was imported
        server = os.getpid()
        process = os.fork()
        if process:
            self.running[process] = status
            _send(status, process)
            os.close(output)
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        arguments.end_with_parent(str(server))
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        for descriptor in (output, status, *self.running.values()):
            os.close(descriptor)
        self.channel.close()
        _seed_again()
        return True

    def _report_ended(self) -> None:
        """Send the exit status of each step that has ended, as `subprocess` gives it."""
        for process in list(self.running):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                descriptor = self.running.pop(process)
                _send(descriptor, os.waitstatus_to_exitcode(status))
                os.close(descriptor)


@dataclass
class Ending:
    """Ends this process as Python does, but without taking apart what was imported: a copy would copy all of it.

    Args:
        status: the exit status.
    """

    status: int = 0

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record the exit status of what runs in this block."""
        try:
            yield
        except SystemExit as ended:
            self.status = ended.code & 0xFF if isinstance(ended.code, int) else int(ended.code is not None)
            raise
        except BaseException:
            self.status = 1
            raise

    def leave(self) -> None:
        """End the process; to be registered before all that a step registers, which then comes first."""
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(self.status)


def main(words: Iterable[str]) -> None:
    """Serve; each copy runs its step."""
    descriptor, *libraries = words
    arguments.end_with_parent(os.environ.get(arguments.PARENT))
    ending = Ending()
    atexit.register(ending.leave)
    request = Server(socket.socket(fileno=int(descriptor)), deque(libraries)).serve()
    if request is not None:
        with ending.recording():
            request.run()


def _received(descriptor: int) -> Request:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return Request(**json.load(file))


def _import(module: str) -> None:
    """Import a module; a step that needs it reports why it cannot be imported."""
    with contextlib.suppress(Exception):
        importlib.import_module(module)


def _send(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for the step any more
        os.write(descriptor, NUMBER.pack(number))


def _seed_again() -> None:
    """Seed numpy's global generator again: Python's own is seeded again in each copy, and torch's has a fixed seed."""
    if "numpy.random" in sys.modules:
        import numpy as np  # noqa: PLC0415 - only if a library has imported it

        np.random.seed()  # it is the global generator that copies would share


if __name__ == "__main__":
    main(sys.argv[1:])
