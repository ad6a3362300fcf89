"""The console that tables and messages are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

FILE_COLUMNS = 400
"""Width of a table that is written to a file or a pipe, so that its rows are not wrapped."""


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output or standard error that wraps lines only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else FILE_COLUMNS)
