"""Run a typer application with the exit statuses of `entrypoint`, and a mistyped option as a one-line error."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from typer import exceptions

from privatekube import entrypoint, errors


def run(app: typer.Typer, *, extra: str | None = None) -> NoReturn:
    """Run `app` on the command line of this process and exit with its status.

    Args:
        app: the application.
        extra: the extra that it needs, for the message about a missing package; by default the smallest extra that
            installs the package.

    Raises:
        SystemExit: always.
    """
    entrypoint.run(lambda: _call(app), extra=extra)


def _call(app: typer.Typer) -> None:
    try:
        status = app(standalone_mode=False)
    except exceptions.TyperException as error:
        raise errors.InvalidInput(f"{error.format_message().rstrip('.')}; see --help") from error
    except exceptions.Abort as error:
        raise KeyboardInterrupt from error
    if isinstance(status, int) and status:
        sys.exit(status)
