"""The module that a pipeline names to declare its settings, and to check a run before its claim.

    # my_project/run_check.py, for `check: my_project.run_check`
    class Settings(pydantic.BaseModel):
        rounds: int = pydantic.Field(ge=1)

    def check(run: CheckedRun) -> None:
        if run.memory_bytes is not None and run.memory_bytes < 2**30:
            raise errors.invalid("memory", run.memory_bytes, "is below 1 GiB", "raise the limit of the step")

A pipeline without settings leaves `Settings` out. Validators of `Settings` find the epsilon of the run in
`info.context["epsilon"]`, so that a setting that is not given can depend on it. Nothing of the data is known here, and
nothing is claimed yet.

A check refuses a run by raising an error, and in no other way: one that returns something, ends the process, or is
asynchronous, so that none of its lines run, is refused itself. It is given copies: what it changes changes no run.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pydantic

from privatekube import errors

if TYPE_CHECKING:  # it has arguments, whose settings this module finds
    from privatekube.runs.checked_run import CheckedRun

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_CHECK, _SETTINGS = "check", "Settings"
_RUN_LATER = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
"""Kinds of functions whose lines run after the call: never, where nobody waits for them."""
NO_CHECK = "privatekube.runs.no_check"
"""The module that a pipeline without a check names."""


def settings_of(name: str) -> type[pydantic.BaseModel] | None:
    """Return the model of a pipeline's settings that a module declares; None if it declares none.

    Args:
        name: of the module, with dots.

    Raises:
        InvalidInput: there is no such module, or what it has under these names is something else.
    """
    module = _module(name)
    declared = getattr(module, _SETTINGS, None)
    if declared is None or (inspect.isclass(declared) and issubclass(declared, pydantic.BaseModel)):
        return declared
    raise errors.invalid(_CHECK, name, f"has {_SETTINGS} that are not a pydantic model", "correct the module")


def run(checked: CheckedRun) -> None:
    """Check a run by the module that its arguments name.

    Raises:
        InvalidInput: the check refuses the run, there is no such check, or it fails.
    """
    name = checked.arguments.check
    function = _function(name)
    try:
        returned = function(_copy(checked))
    except errors.PrivateKubeError:
        raise
    except (Exception, SystemExit) as error:
        raise errors.invalid(_CHECK, name, f"failed ({_one_line(error)})", "correct the module") from error
    if returned is not None:
        bound = f"has a function {_CHECK} that returns a {type(returned).__name__}"
        raise errors.invalid(_CHECK, name, bound, "raise an error to refuse a run, and return nothing")


def _copy(checked: CheckedRun) -> CheckedRun:
    """Return a run whose settings and noise can be changed without changing those that are granted."""
    demand = None if checked.demand is None else replace(checked.demand, plan=copy.deepcopy(checked.demand.plan))
    return replace(checked, arguments=checked.arguments.model_copy(deep=True), demand=demand)


def _function(name: str) -> Callable[..., Any]:
    function = getattr(_module(name), _CHECK, None)
    if not inspect.isfunction(function):
        raise errors.invalid(_CHECK, name, f"has no function {_CHECK}(run)", "define it, see docs/components.md")
    if any(is_later(function) for is_later in _RUN_LATER):
        bound = f"has a function {_CHECK} that does not run when it is called"
        raise errors.invalid(_CHECK, name, bound, f"write def {_CHECK}(run), without async and yield")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        bound = f"has a function {_CHECK} that does not take one argument"
        raise errors.invalid(_CHECK, name, bound, f"write {_CHECK}(run)") from None
    return function


def _module(name: str) -> ModuleType:
    if not _NAME.fullmatch(name):
        raise errors.invalid(_CHECK, name, "is not the name of a module", "write it as package.module")
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the top of somebody's module does
        if isinstance(error, ImportError) and errors.missing_extra(error):
            raise  # the command names the extra that it needs
        bound = f"cannot be imported ({_one_line(error)})"
        raise errors.invalid(_CHECK, name, bound, "name a module that can be imported here") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
