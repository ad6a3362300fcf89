"""The interface of a component follows from the annotations, the defaults and the docstring of its program."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest

from privatekube import errors, validation
from privatekube.steps import interface


class Colour(enum.StrEnum):
    RED = "red"


KINDS = {
    "Integer": (int, validation.Count, Literal[1, 2]),
    "Float": (float, validation.Epsilon),
    "Boolean": (bool,),
    "String": (str, validation.Name, Literal["a", "b"], Colour, validation.Bytes, validation.BlockCount),
    "JsonArray": (pydantic.Json[list[str]], pydantic.Json[tuple[int, ...]], pydantic.Json[validation.Conditions]),
    "JsonObject": (pydantic.Json[dict[str, int]],),
    "PipelineTaskFinalStatus": (interface.FinalStatus,),
}


def program(annotation: object, *, default: object = None, docstring: str = "Do it.\n\nArgs:\n    x: how.") -> Any:
    def step(*, x: object) -> None:
        raise NotImplementedError

    step.__annotations__["x"] = annotation
    step.__doc__ = docstring
    if default is not None:
        step.__kwdefaults__ = {"x": default}
    return step


@pytest.mark.parametrize(("kind", "annotation"), [(kind, given) for kind, all_ in KINDS.items() for given in all_])
def test_the_type_follows_from_the_annotation(kind: str, annotation: object) -> None:
    (parameter,) = interface.of(program(annotation)).inputs
    assert (parameter.kind, parameter.default) == (kind, None)


@pytest.mark.parametrize(
    "annotation", [Path, object, bytes, int | None, Literal["a", 1], list[int], dict[str, int], Annotated[Path, "x"]]
)
def test_what_kubeflow_has_no_type_for_is_a_line(annotation: object) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^step: parameter x: .* is not a type of Kubeflow; see"):
        interface.of(program(annotation))


def test_a_parameter_without_an_annotation_is_a_line() -> None:
    step = program(int)
    del step.__annotations__["x"]
    with pytest.raises(errors.InvalidInput, match=r"^step: parameter x: has no type; annotate it"):
        interface.of(step)


@pytest.mark.parametrize(("default", "text"), [(3, "3"), (0.5, "0.5"), (True, "true"), ("all", "all"), ("", "")])
def test_a_default_is_the_text_that_the_program_reads(default: object, text: str) -> None:
    (parameter,) = interface.of(program(type(default), default=default)).inputs
    assert parameter.default == text


@pytest.mark.parametrize("annotation", [interface.Artifact, interface.OutputArtifact, interface.OutputString])
def test_a_file_has_no_default(annotation: object) -> None:
    with pytest.raises(errors.InvalidInput, match="is the default of a file"):
        interface.of(program(annotation, default=Path("x")))


def test_private_data_needs_a_workspace_to_be_in() -> None:
    for annotation in (interface.Dataset, interface.OutputDataset):
        step = program(annotation)
        with pytest.raises(errors.InvalidInput, match=r"x: 'Dataset' needs a workspace to be in; add a parameter wor"):
            interface.of(step)
        step.__annotations__["where"] = interface.Workspace
        assert interface.workspace_parameter(step) == "where"
        private = interface.private_data(step)
        assert ("x",) in (private.inputs, private.outputs)


def test_a_default_that_is_no_scalar_is_a_line() -> None:
    with pytest.raises(errors.InvalidInput, match=r"parameter x: \(\) is a default that has no text; pass the value"):
        interface.of(program(pydantic.Json[list[int]], default=()))


def test_a_parameter_without_a_description_is_a_line() -> None:
    for docstring in ("", "Do it.", "Do it.\n\nArgs:\n    y: how.", "Do it.\n\nReturns:\n    x: how."):
        with pytest.raises(errors.InvalidInput, match="parameter x: has no description; add it to Args"):
            interface.of(program(int, docstring=docstring))


def test_a_description_is_one_line_that_starts_with_a_capital() -> None:
    text = (
        "Do it.\n\nArgs:\n    x: how often: at\n        least once,\n        or twice.\n    y: no.\n\nReturns:\n    z"
    )
    (parameter,) = interface.of(program(int, docstring=text)).inputs
    assert parameter.description == "How often: at least once, or twice."


def test_outputs_are_told_from_inputs() -> None:
    step: Callable[..., None] = program(interface.OutputModel)
    assert interface.of(step) == interface.Interface((), (interface.Parameter("x", "Model", "How."),))
