"""The console that tables and messages are printed to."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import IO, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

FILE_COLUMNS = 400
"""Width of a table that is written to a file or a pipe, so that its rows are not wrapped."""


class _Console(Console):
    """A console that leaves a closed output pipe to `entrypoint.run`; rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled again."""
        self.quiet = True
        raise  # noqa: PLE0704 - rich calls this while it handles BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output or standard error that wraps lines only on a terminal.

    It prints text as it is: names and reasons are from claimants.
    """
    stream = sys.stderr if stderr else sys.stdout
    return _Console(stderr=stderr, width=None if stream.isatty() else FILE_COLUMNS, markup=False, emoji=False)


def progress_on(console: Console) -> Progress:
    """Return the progress of long work with the time that is left; it shows on a terminal alone."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)


class _OptionalReader(io.TextIOBase):
    """A text stream whose reader may go away: what is written afterwards is lost, without an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property there too, but mypy sees a variable
        """The encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the number of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write `text` if anyone reads."""
        with contextlib.suppress(OSError, ValueError):  # closed: EPIPE, EIO of a terminal, or a closed file
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if anyone reads."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def progress_console() -> Console:
    """Return a console on standard error for a command that must end well even if nobody reads its progress."""
    width = None if sys.stderr.isatty() else FILE_COLUMNS
    return Console(file=cast("IO[str]", _OptionalReader(sys.stderr)), width=width, markup=False, emoji=False)
