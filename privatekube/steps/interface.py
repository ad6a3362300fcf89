"""The interface of a component, told from its program: annotations say what it reads and writes, `Args` what that is.

>>> def count(*, grant: Artifact, keys: int = 5, counts: OutputArtifact) -> None:
...     '''Count rows.
...
...     Args:
...         grant: from allocate.
...         keys: how many keys there are.
...         counts: noisy counts (JSON).
...     '''
>>> for parameter in of(count).inputs:
...     print(parameter)
Parameter(name='grant', kind='Artifact', description='From allocate.', default=None)
Parameter(name='keys', kind='Integer', description='How many keys there are.', default='5')
"""

from __future__ import annotations

import enum
import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic

from privatekube import errors


@dataclass(frozen=True, slots=True)
class Reads:
    """Marks a parameter of a program as an input of a type of Kubeflow Pipelines.

    Args:
        kind: the type, such as Dataset.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class Writes:
    """Marks a parameter of a program as the path of an output of a type of Kubeflow Pipelines.

    Args:
        kind: the type, such as Dataset.
    """

    kind: str


Artifact = Annotated[Path, Reads("Artifact")]
"""A file to read, such as a Grant or what carries noise."""
Artifacts = Annotated[list[Path], Reads("Artifact")]
"""Files to read of which a graph passes any number, each in an input of its own: see `kubeflow.repeated_inputs`."""
Dataset = Annotated[Path, Reads("Dataset")]
"""Private data to read, which an earlier step has left in the workspace."""
Model = Annotated[Path, Reads("Model")]
"""A trained model to read."""
OutputArtifact = Annotated[Path, Writes("Artifact")]
"""Where to write a file, such as a Spend or what carries noise."""
OutputDataset = Annotated[Path, Writes("Dataset")]
"""Where to write private data: a path in the workspace. No artifact store gets it, see `steps.workspace`."""
OutputModel = Annotated[Path, Writes("Model")]
"""Where to write a trained model."""
OutputString = Annotated[Path, Writes("String")]
"""Where to write text that Kubeflow keeps and shows: never anything of the data."""
Workspace = Annotated[Path, Reads("String"), "workspace"]
"""The folder of private data of the run: a graph passes dsl.WORKSPACE_PATH_PLACEHOLDER."""
FinalStatus = Annotated[pydantic.Json[dict[str, Any]], Reads("PipelineTaskFinalStatus")]
"""How a run ended, which Kubeflow tells an exit task."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input or an output of a component.

    Args:
        name: that of the program's parameter.
        kind: its type in Kubeflow Pipelines.
        description: for people who wire the component.
        default: text of the value that it has if it is not given; None if it must be given.
    """

    name: str
    kind: str
    description: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """What a component takes and writes, in the order of its program's parameters."""

    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class PrivateData:
    """The parameters of a program that are private data, by name."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_PRIVATE = "Dataset"
ARTIFACTS = ("Artifact", "ClassificationMetrics", "Dataset", "HTML", "Markdown", "Metrics", "Model")
"""The types of Kubeflow Pipelines that are files."""
_SCALARS: Mapping[type, str] = {bool: "Boolean", float: "Float", int: "Integer", str: "String"}


def of(program: Callable[..., None]) -> Interface:
    """Return the interface of a component's program.

    Args:
        program: a function with keyword-only, annotated parameters, each described in the section `Args` of its
            docstring.

    Raises:
        InvalidInput: a parameter has no description or no type of Kubeflow Pipelines, a file has a default, or private
            data has no workspace.
    """
    hints = typing.get_type_hints(program, include_extras=True)
    _require_workspace(program)
    descriptions = _descriptions(inspect.getdoc(program) or "")
    inputs: list[Parameter] = []
    outputs: list[Parameter] = []
    for name, parameter in inspect.signature(program).parameters.items():
        where = f"{program.__name__}: parameter {name}"
        if name not in descriptions:
            raise errors.InvalidInput(f"{where}: has no description; add it to Args in the docstring")
        if name not in hints:
            raise errors.InvalidInput(f"{where}: has no type; annotate it, see docs/components.md")
        mark = _mark(hints[name], where)
        is_file = isinstance(mark, Writes) or mark.kind in ARTIFACTS
        if is_file and parameter.default is not parameter.empty:
            raise errors.invalid(where, str(parameter.default), "is the default of a file", "remove it")
        default = None if parameter.default is parameter.empty else _text(parameter.default, where)
        target = outputs if isinstance(mark, Writes) else inputs
        target.append(Parameter(name, mark.kind, descriptions[name], default))
    return Interface(tuple(inputs), tuple(outputs))


def private_data(program: Callable[..., None]) -> PrivateData:
    """Return the parameters of a component's program that are private data."""
    found: dict[type, list[str]] = {Reads: [], Writes: []}
    for name, hint in typing.get_type_hints(program, include_extras=True).items():
        for extra in getattr(hint, "__metadata__", ()):
            if isinstance(extra, Reads | Writes) and extra.kind == _PRIVATE:
                found[type(extra)].append(name)
    return PrivateData(tuple(found[Reads]), tuple(found[Writes]))


def released_inputs(program: Callable[..., None]) -> tuple[str, ...]:
    """Return the parameters by which a component's program reads a file that is not private data, by name."""
    hints = typing.get_type_hints(program, include_extras=True)
    kinds = {kind for kind in ARTIFACTS if kind != _PRIVATE}
    return tuple(
        name
        for name, hint in hints.items()
        if getattr(hint, "__origin__", None) is Path
        and any(isinstance(extra, Reads) and extra.kind in kinds for extra in hint.__metadata__)
    )


def workspace_parameter(program: Callable[..., None]) -> str | None:
    """Return the name of the parameter that a component's program takes the workspace by; None if it takes none."""
    hints = typing.get_type_hints(program, include_extras=True)
    return next((name for name, hint in hints.items() if hint == Workspace), None)


def _require_workspace(program: Callable[..., None]) -> None:
    private = private_data(program)
    for name in (*private.inputs, *private.outputs):
        if workspace_parameter(program) is None:
            where, remedy = f"{program.__name__}: parameter {name}", "add a parameter workspace: interface.Workspace"
            raise errors.invalid(where, _PRIVATE, "needs a workspace to be in", remedy)


def _mark(hint: Any, where: str) -> Reads | Writes:
    """Return what an annotation says; text that the program reads by itself, such as 8Gi, is a String."""
    extras = getattr(hint, "__metadata__", ())
    marks = [extra for extra in extras if isinstance(extra, Reads | Writes)]
    if marks:
        return marks[0]
    if any(isinstance(extra, pydantic.BeforeValidator | pydantic.PlainValidator) for extra in extras):
        return Reads("String")
    base = hint.__origin__ if extras else hint
    if any(isinstance(extra, pydantic.Json) for extra in extras):
        return Reads("JsonArray" if typing.get_origin(base) in {list, tuple} else "JsonObject")
    choices = {type(value) for value in typing.get_args(base)} if typing.get_origin(base) is typing.Literal else {base}
    (kind, *others) = choices
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        kind = str
    if others or kind not in _SCALARS:
        raise errors.invalid(where, str(hint), "is not a type of Kubeflow", "see docs/components.md")
    return Reads(_SCALARS[kind])


def _text(default: object, where: str) -> str:
    """Return a default as text, as the program reads it."""
    if isinstance(default, str):
        return str(default)
    if not isinstance(default, bool | int | float):
        raise errors.invalid(where, default, "is a default that has no text", "pass the value in the graph")
    return json.dumps(default)


def _descriptions(docstring: str) -> dict[str, str]:
    """Return the descriptions in the section `Args` of a docstring, by parameter, as sentences of one line."""
    _, _, section = docstring.partition("\nArgs:\n")
    lines = section.partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", lines, re.MULTILINE)
    return {name: _sentence(" ".join(text.split())) for name, text in entries}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
