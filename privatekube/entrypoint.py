"""End every command in the same way: a known error is one line, and an unknown one reveals nothing about the data.

Commands that read private data run `scrubbed`: the message of an unexpected exception may quote a record, so only its
type and location are shown.

SIGTERM, and SIGHUP when the terminal is closed, interrupt a command as Ctrl-C does, so that it cleans up. The first one
counts: cleaning up is not interrupted. One that arrives where Python drops exceptions, as in the callback of a weak
reference, is delivered again.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from privatekube import errors

INTERRUPTED = 130
_LATER_SECONDS = 0.05
TERMINATION_LOG = "/dev/termination-log"
"""What a container of a pod leaves here is the reason that Kubernetes, and with it Kubeflow, states for its end."""
_LONGEST_REASON = 4096
"""Bytes that Kubernetes reads of it."""


def run(command: Callable[[], object], *, scrubbed: bool = False, extra: str | None = None) -> NoReturn:
    """Call `command` and exit the process with the status for its outcome.

    0 for success and for a closed output pipe, the `exit_status` of an error of this library, 130 for Ctrl-C, SIGTERM
    and SIGHUP, and 1 with a traceback for an unexpected error.

    Args:
        command: what to run.
        scrubbed: whether to show only the type and the location of an unexpected error, without its message.
        extra: the extra that the command needs, for the message about a missing package.

    Raises:
        SystemExit: always.
    """
    try:
        with _interruptible():
            command()
    except errors.PrivateKubeError as error:
        _exit(f"error: {error}", error.exit_status)
    except KeyboardInterrupt:
        _exit("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if isinstance(error, ImportError):
            _exit_if_missing(error, extra)
        if not scrubbed:
            raise
        _exit(f"error: {withheld(error)}", 1)
    sys.exit(0)


def ending_signals() -> list[signal.Signals]:
    """Return the signals besides SIGINT that end this process: SIGHUP is not among them under nohup."""
    return [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for the first signal that ends this process, and ignore further ones from then on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = ending_signals()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handled.append(signal.SIGINT)

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    def deliver_again(dropped: sys.UnraisableHookArgs) -> None:
        if not (handled and issubclass(dropped.exc_type, KeyboardInterrupt)):
            report(dropped)
            return
        for number in handled:
            signal.signal(number, interrupt)
        again = threading.Timer(_LATER_SECONDS, _thread.interrupt_main, (handled[0],))  # here it would be dropped, too
        again.daemon = True
        again.start()

    report, sys.unraisablehook = sys.unraisablehook, deliver_again
    previous = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        sys.unraisablehook = report
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def imports_of(extra: str | None = None) -> Iterator[None]:
    """Import in this block what takes long: Ctrl-C ends it, as it ends `run`, and a missing package is one line.

    Example, at the top of a script: `with entrypoint.imports_of("images"): from privatekube.images import building`.

    Args:
        extra: the extra that installs the packages; by default the smallest one that installs the missing package.
    """
    try:
        with _interruptible():
            yield
    except KeyboardInterrupt:
        _exit("interrupted", INTERRUPTED)
    except ImportError as error:
        _exit_if_missing(error, extra)
        raise


def _exit_if_missing(error: ImportError, extra: str | None) -> None:
    missing = errors.missing_extra(error, extra=extra)
    if missing is not None:
        _exit(f"error: {missing}", missing.exit_status)


def withheld(error: BaseException) -> str:
    """Return the type and the location of an unexpected error, without its message."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"unexpected {type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}"
    return f"{place}; its message is withheld, because it may quote private data"


def _exit(line: str, status: int) -> NoReturn:
    _leave_in_pod(line)
    with contextlib.suppress(OSError):  # the terminal has been closed
        print(line.replace("\n", " "), file=sys.stderr, flush=True)  # noqa: T201 - the one place that ends a command
    sys.exit(status)


def _leave_in_pod(line: str) -> None:
    """Leave the reason for the end where Kubernetes looks for it; elsewhere there is no such file, and none is made."""
    with contextlib.suppress(OSError):
        descriptor = os.open(TERMINATION_LOG, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, line.encode(errors="replace")[:_LONGEST_REASON])
        finally:
            os.close(descriptor)
