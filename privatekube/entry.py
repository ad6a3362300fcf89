"""How every command starts and ends: one line for a known error, nothing of the data for an unknown one.

Commands that read private data are named `scrubbed`: an unexpected exception's message may quote a record, so only its
type and place are shown, and log records of other libraries are dropped.
"""

from __future__ import annotations

import ctypes
import inspect
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn, get_type_hints

import pydantic

from privatekube import errors

INTERRUPTED = 130
PARENT = "PRIVATEKUBE_PARENT"
"""Environment variable: the process that started this step on the same machine, and must not be outlived by it."""

_PR_SET_PDEATHSIG = 1


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


def component(step: Callable[..., None], arguments: Sequence[str] | None = None, *, reads_data: bool = False) -> None:
    """Run a component's `step` with the command line `--name value ...`, and leave the process.

    Args:
        step: a function of keyword-only, annotated parameters; `--some-name` fills `some_name`. Annotations are
            pydantic's, so bounds and types are checked, and text that is no integer is refused.
        arguments: the command line without the program's name; None takes the process's own.
        reads_data: whether unexpected errors must be scrubbed, see `run`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _end_with(os.environ.get(PARENT))
    if reads_data:
        logging.disable(logging.CRITICAL)
    run(lambda: step(**parse(step, given)), scrubbed=reads_data)


def parse(step: Callable[..., None], given: Sequence[str]) -> dict[str, Any]:
    """Read `--name value` pairs into the checked parameters of `step`.

    Raises:
        InvalidInput: an unknown, missing, repeated or ill-typed argument.
    """
    names = {f"--{name.replace('_', '-')}": name for name in inspect.signature(step).parameters}
    if set(given) & {"-h", "--help"}:
        print(usage(step))  # noqa: T201 - asked for on the command line
        sys.exit(0)
    values: dict[str, str] = {}
    for flag, value in zip(given[::2], [*given[1::2], None][: (len(given) + 1) // 2], strict=True):
        if flag not in names:
            raise errors.InvalidInput(f"argument: {flag} is unknown; known are {', '.join(names)}")
        if value is None or names[flag] in values:
            fault = "needs a value" if value is None else "is given twice"
            raise errors.InvalidInput(f"argument: {flag} {fault}; give it one value")
        values[names[flag]] = value
    return _checked(step, values)


def usage(step: Callable[..., None]) -> str:
    """The help text of a component: its docstring and its arguments."""
    lines = [inspect.getdoc(step) or "", "", "Arguments, each as --name value:"]
    for name, parameter in inspect.signature(step).parameters.items():
        default = "" if parameter.default is parameter.empty else f" (default {parameter.default})"
        lines.append(f"  --{name.replace('_', '-')}{default}")
    return "\n".join(lines)


def first_fault(error: pydantic.ValidationError) -> str:
    """The first fault of a validation as one line: name, value, bound."""
    fault = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in fault["loc"]) or "input"
    if fault["type"] == "missing":
        return f"{name}: missing; give it a value"
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown; remove it or correct its name"
    value = repr(fault["input"])
    bound = fault["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
    return f"{name}: {value if len(value) <= 80 else value[:77] + '...'} {bound}; change it"


def _checked(step: Callable[..., None], values: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    hints = get_type_hints(step, include_extras=True)
    for name, parameter in inspect.signature(step).parameters.items():
        fields[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)
    model = pydantic.create_model("Arguments", __config__=pydantic.ConfigDict(extra="forbid"), **fields)
    try:
        checked = model.model_validate_strings(values)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(first_fault(error)) from None
    return {name: getattr(checked, name) for name in fields}


def _end_with(parent: str | None) -> None:
    """Have this process killed when `parent` is, so that nothing works on after a kill -9 of the run (Linux)."""
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}"


def _leave(line: str, status: int) -> NoReturn:
    print(line.replace("\n", " "), file=sys.stderr, flush=True)  # noqa: T201 - the one place that ends a command
    sys.exit(status)


Text = Annotated[str, pydantic.Field(min_length=1)]
"""A string argument that must not be empty."""
