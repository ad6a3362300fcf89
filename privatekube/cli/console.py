"""The console that tables and messages are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

FILE_COLUMNS = 400
"""Width of a table that is written to a file or a pipe, so that its rows are not wrapped."""


class _Console(Console):
    """A console that leaves a closed output pipe to `entrypoint.run`; rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled again."""
        self.quiet = True
        raise  # noqa: PLE0704 - rich calls this while it handles BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output or standard error that wraps lines only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return _Console(stderr=stderr, width=None if stream.isatty() else FILE_COLUMNS)
