"""The command `privatekube completion`: the script by which a shell completes commands, options and their values."""

from __future__ import annotations

import enum
import os
import sys
from typing import Annotated

import typer

_PROGRAM, _VARIABLE = "privatekube", "_PRIVATEKUBE_COMPLETE"
"""The variable is how the script asks this program what fits."""


class Shell(enum.StrEnum):
    """A shell that completion is known for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="The shell that the script is for.")]
) -> None:
    """Print the script that completes this command in a shell: eval "$(privatekube completion bash)"."""
    _complete(context.find_root().command, f"source_{shell}")


def answer_shell(command: object) -> None:
    """Answer the shell where its script asks, and end; return where it does not ask.

    Raises:
        SystemExit: it was answered.
    """
    instruction = os.environ.get(_VARIABLE)
    if instruction:
        sys.exit(_complete(command, instruction))


def _complete(command: object, instruction: str) -> int:
    from typer import _completion_classes, completion  # noqa: PLC0415 - only a shell needs them

    _completion_classes.completion_init()
    return completion.shell_complete(command, {}, _PROGRAM, _VARIABLE, instruction)  # type: ignore[arg-type]  # of typer's copy of click
