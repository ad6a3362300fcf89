"""Run a typer application as every command of this project runs: one line for what was mistyped, see `entry`."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from typer import exceptions

from privatekube import entrypoint, errors


def run(app: typer.Typer) -> NoReturn:
    """Run `app` on the process's command line and leave with its exit status."""
    entrypoint.run(lambda: _call(app))


def _call(app: typer.Typer) -> None:
    try:
        status = app(standalone_mode=False)
    except exceptions.TyperException as error:
        raise errors.InvalidInput(f"{error.format_message().rstrip('.')}; see --help") from error
    except exceptions.Abort as error:
        raise KeyboardInterrupt from error
    if isinstance(status, int) and status:
        sys.exit(status)
