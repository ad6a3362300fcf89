"""The command line of a component: `--name value` pairs, checked against the signature of its function."""

from __future__ import annotations

import ctypes
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pydantic

from privatekube import entrypoint, errors, validation
from privatekube.steps import clear_inputs, workspace

PARENT = "PRIVATEKUBE_PARENT"
"""Environment variable: the id of the process that started this step on the same machine; the step ends with it."""

_PR_SET_PDEATHSIG = 1


def run_component(step: Callable[..., None], words: Sequence[str] | None = None, *, reads_data: bool = False) -> None:
    """Run a component's `step` with a command line `--name value ...`, and exit the process.

    Args:
        step: a function with keyword-only, annotated parameters; `--some-name` sets `some_name`. Pydantic checks the
            annotations, types and bounds; text that is not a whole number is not an integer.
        words: the command line without the program's name; by default that of the process.
        reads_data: whether the step reads private data: then nothing is logged, and the message of an unexpected error
            is withheld, see `entrypoint.run`.

    Raises:
        SystemExit: always.
    """
    command_line = list(sys.argv[1:] if words is None else words)
    end_with_parent(os.environ.get(PARENT))
    if reads_data:
        logging.disable(logging.CRITICAL)
    entrypoint.run(lambda: _run(step, command_line), scrubbed=reads_data)


def _run(step: Callable[..., None], words: Sequence[str]) -> None:
    if {"-h", "--help"} & set(words):
        print(usage(step))  # noqa: T201 - the user asked for it on the command line
    else:
        handover = workspace.Handover.of(step, parse(step, words))
        step(**clear_inputs.of(step, handover.arguments))
        handover.finish()


def parse(step: Callable[..., None], words: Sequence[str]) -> dict[str, Any]:
    """Read `--name value` pairs into the checked arguments of `step`.

    Raises:
        InvalidInput: an argument is unknown, missing or of another type, or is repeated and not a list of files.
    """
    names = {option(name): name for name in inspect.signature(step).parameters}
    repeated = _repeated(step)
    values: dict[str, str] = {}
    lists: dict[str, list[Path]] = {name: [] for name in repeated}
    for position in range(0, len(words), 2):
        flag, value = words[position], words[position + 1 : position + 2]
        if flag not in names:
            raise errors.InvalidInput(f"argument: {flag} is unknown; known are {', '.join(names)}")
        if value and names[flag] in repeated:
            lists[names[flag]].append(Path(value[0]))
            continue
        if not value or names[flag] in values:
            fault = "is given twice" if value else "needs a value"
            raise errors.InvalidInput(f"argument: {flag} {fault}; give it one value")
        values[names[flag]] = value[0]
    missing = [name for name, paths in lists.items() if not paths]
    if missing:
        raise errors.InvalidInput(f"{missing[0]}: missing; give it a value, or several with the flag before each")
    return _typed_values(step, values) | lists


def _repeated(step: Callable[..., None]) -> list[str]:
    """Return the parameters that are lists of files, whose flag is given once for each file."""
    return [name for name, hint in get_type_hints(step).items() if hint == list[Path]]


def usage(step: Callable[..., None]) -> str:
    """Return the help text of a component: its docstring and its arguments."""
    lines = [inspect.getdoc(step) or "", "", "Arguments, each as --name value:"]
    for name, parameter in inspect.signature(step).parameters.items():
        default = "" if parameter.default is parameter.empty else f" (default {parameter.default})"
        lines.append(f"  {option(name)}{default}")
    return "\n".join(lines)


def option(name: str) -> str:
    """Return the flag of a parameter on the command line.

    >>> option("run_id")
    '--run-id'
    """
    return f"--{name.replace('_', '-')}"


def _typed_values(step: Callable[..., None], values: dict[str, str]) -> dict[str, Any]:
    hints = get_type_hints(step, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(step).parameters.items()
        if name not in _repeated(step)
    }
    model = pydantic.create_model("Arguments", __config__=pydantic.ConfigDict(extra="forbid"), **fields)
    try:
        checked = model.model_validate_strings(values)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(validation.first_fault(error)) from None
    return {name: getattr(checked, name) for name in fields}


def end_with_parent(parent: str | None) -> None:
    """Have the kernel kill this process when the process `parent` ends, even by kill -9; on Linux alone."""
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)
