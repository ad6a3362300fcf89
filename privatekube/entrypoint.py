"""How every command starts and ends: one line for a known error, nothing of the data for an unknown one.

Commands that read private data are named `scrubbed`: an unexpected exception's message may quote a record, so only its
type and place are shown, and log records of other libraries are dropped.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from privatekube import errors

INTERRUPTED = 130


def run(command: Callable[[], object], *, scrubbed: bool = False) -> NoReturn:
    """Call `command` and leave the process with its exit status.

    A known error ends as one line on stderr and its own status, Ctrl-C as 130, a reader that went away as 0; an
    unexpected error as 1, with a traceback unless `scrubbed`.
    """
    try:
        command()
    except errors.PrivateKubeError as error:
        _leave(f"error: {error}", error.exit_status)
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if not scrubbed:
            raise
        _leave(f"error: {_place(error)}; what it said is withheld, because it may quote private data", 1)
    sys.exit(0)


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}"


def _leave(line: str, status: int) -> NoReturn:
    print(line.replace("\n", " "), file=sys.stderr, flush=True)  # noqa: T201 - the one place that ends a command
    sys.exit(status)
