"""The console that tables and messages are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

UNBROKEN = 400
"""Columns of a table that goes to a file or a pipe: rows are not broken."""


def console(*, stderr: bool = False) -> Console:
    """Where tables and lines go; what is no terminal gets them unbroken."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else UNBROKEN)
