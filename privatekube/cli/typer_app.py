"""Run a typer application with the exit statuses of `entrypoint`, and a mistyped option as a one-line error."""

from __future__ import annotations

import sys
from pathlib import Path
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
    """Invoke the command itself: typer would end the process for Ctrl-C and a closed pipe in another way."""
    command = typer.main.get_command(app)
    try:
        with command.make_context(_program_name(), sys.argv[1:]) as context:
            status = command.invoke(context)
    except typer.Exit as error:
        status = error.exit_code
    except exceptions.TyperException as error:
        message = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
        if not message:  # the help was printed because there was no argument
            sys.exit(errors.InvalidInput.exit_status)
        raise errors.InvalidInput(f"{message}{'' if message.endswith('?') else ';'} see --help") from error
    except exceptions.Abort as error:
        raise KeyboardInterrupt from error
    if isinstance(status, int) and status:
        sys.exit(status)


def _program_name() -> str:
    """Return how the program was called: the name of the script, or `python -m PACKAGE`."""
    name, package = Path(sys.argv[0]).name, sys.modules["__main__"].__package__
    return f"python -m {package}" if name == "__main__.py" else name
