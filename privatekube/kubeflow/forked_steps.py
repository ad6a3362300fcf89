"""Start steps of local runs as copies of a process that has imported the libraries: a second in place of five each.

The process (`fork_server`) ends with this one, or when steps of another project or in another environment are started.
One run at a time starts steps, see `kfp_local`.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from privatekube.kubeflow import fork_server
from privatekube.kubeflow.step_components import StepComponents
from privatekube.steps import arguments

_LIBRARY = "privatekube"
_OURS = "PRIVATEKUBE_"
"""Variables of this library, which are not read before a step runs."""
_KILLED = -signal.SIGKILL
IS_AVAILABLE = sys.platform == "linux"
"""Whether steps can be copies: elsewhere, libraries that have threads may not survive it."""


@dataclass
class ForkedStep:
    """A step that runs, with what `subprocess.Popen` offers of it.

    Args:
        pid: its process.
        stdout: what it writes.
        status: the pipe that its exit status comes from.
        returncode: its exit status; None as long as it is not known.
    """

    pid: int
    stdout: IO[str]
    status: IO[bytes]
    returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status: minus the signal for a step that was killed.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        if self.returncode is None:
            if not select.select([self.status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = _read_number(self.status, default=_KILLED)  # no step outlives the server
            self.status.close()
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.returncode is None and not select.select([self.status], [], [], 0)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stdout.close()
        if kind is None:  # an interrupted run stops it
            self.wait()


@dataclass
class ForkServer:
    """A process that makes copies of itself for steps.

    Args:
        process: the process.
        channel: the socket that it takes requests from.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket

    @classmethod
    def start(cls, modules: Sequence[str], environment: Mapping[str, str]) -> ForkServer:
        """Start a process that imports `modules`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", fork_server.__name__, str(theirs.fileno()), *modules],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return cls(process, ours)

    def run(
        self, module: str, words: Sequence[str], environment: Mapping[str, str], *, libraries: Sequence[str] = ()
    ) -> ForkedStep:
        """Start a step: `python -m module words` in this working directory.

        Args:
            module: the program.
            words: its arguments.
            environment: its variables.
            libraries: modules of this library that it imports.

        Raises:
            OSError: the server has ended.
        """
        variables = {**environment, arguments.PARENT: str(self.process.pid)}
        request = fork_server.Request(module, list(libraries), list(words), variables, str(Path.cwd()))
        output, writable = os.pipe()
        status, reported = os.pipe()
        file = os.memfd_create(module)
        try:
            os.write(file, request.encode())
            socket.send_fds(self.channel, [b"\0"], [file, writable, reported])
        finally:
            for descriptor in (file, writable, reported):
                os.close(descriptor)
        numbers = os.fdopen(status, "rb", buffering=0)
        try:
            pid = _read_number(numbers, default=0)
        except BaseException:
            self.process.kill()  # whether or not it has made the copy: no copy outlives it
            numbers.close()
            os.close(output)
            raise
        return ForkedStep(pid, os.fdopen(output), numbers)

    def close(self) -> None:
        """End the server."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


_servers: dict[tuple[object, ...], ForkServer] = {}
"""The server of this process, by what it imports and the variables that libraries may read meanwhile: one, or none."""


def server(components: StepComponents, environment: Mapping[str, str]) -> ForkServer:
    """Return the server for the steps of a project; it starts to import what they need of this library.

    Args:
        components: the steps.
        environment: the variables of the steps.
    """
    modules = tuple(libraries(components.folders.values()))
    variables = sorted(item for item in environment.items() if not item[0].startswith(_OURS))
    key = (modules, *variables)
    if key not in _servers or _servers[key].process.poll() is not None:
        _close_all()
        _servers[key] = ForkServer.start(modules, environment)
        atexit.register(_close_all)
    return _servers[key]


def _close_all() -> None:
    while _servers:
        _servers.popitem()[1].close()


def libraries(folders: Iterable[Path]) -> list[str]:
    """Return the modules of this library that programs import: an import of ours only defines, others may do more.

    Args:
        folders: of the components, in the order in which they run.
    """
    found: dict[str, None] = {}
    for folder in folders:
        with contextlib.suppress(OSError, SyntaxError):  # the step itself reports it
            found.update(dict.fromkeys(_imported(ast.parse((folder / "__main__.py").read_bytes()))))
    return list(found)


def _imported(program: ast.Module) -> Iterator[str]:
    for statement in program.body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").partition(".")[0] == _LIBRARY:
            yield from (f"{statement.module}.{name.name}" for name in statement.names)


def _read_number(pipe: IO[bytes], *, default: int) -> int:
    """Return the number that comes from a pipe; `default` if it is closed."""
    content = pipe.read(fork_server.NUMBER.size)
    return int(fork_server.NUMBER.unpack(content)[0]) if content else default


def is_possible(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command can be started here: if it runs a module, and libraries have no variables of its own to read.

    Args:
        command: `python3 -m module ...`.
        environment: variables of this step alone.
    """
    return IS_AVAILABLE and list(command[1:2]) == ["-m"] and not environment
