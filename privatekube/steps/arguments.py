"""The command line of a component: `--name value` pairs, checked against the program's signature."""

from __future__ import annotations

import ctypes
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import pydantic

from privatekube import entrypoint, errors, validation

PARENT = "PRIVATEKUBE_PARENT"
"""Environment variable: the process that started this step on the same machine, and must not be outlived by it."""


_PR_SET_PDEATHSIG = 1


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
    entrypoint.run(lambda: step(**parse(step, given)), scrubbed=reads_data)


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


def _checked(step: Callable[..., None], values: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    hints = get_type_hints(step, include_extras=True)
    for name, parameter in inspect.signature(step).parameters.items():
        fields[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)
    model = pydantic.create_model("Arguments", __config__=pydantic.ConfigDict(extra="forbid"), **fields)
    try:
        checked = model.model_validate_strings(values)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(validation.first_fault(error)) from None
    return {name: getattr(checked, name) for name in fields}


def _end_with(parent: str | None) -> None:
    """Have this process killed when `parent` is, so that nothing works on after a kill -9 of the run (Linux)."""
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)
