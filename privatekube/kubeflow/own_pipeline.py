"""Run a pipeline of your own on this machine: each component's command in this Python, with its progress shown."""

from __future__ import annotations

import io
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic
from kfp.dsl.base_component import BaseComponent
from kfp.pipeline_spec import pipeline_spec_pb2
from rich.console import Console

from privatekube import errors, validation
from privatekube.kubeflow import kfp_local, progress
from privatekube.kubeflow.step_components import StepComponents

_TYPES: Mapping[str, Any] = {
    "BOOLEAN": bool,
    "LIST": list[Any],
    "NUMBER_DOUBLE": float,
    "NUMBER_INTEGER": int,
    "STRING": str,
    "STRUCT": dict[str, Any],
}


def run(
    pipeline: BaseComponent,
    arguments: Mapping[str, Any],
    *,
    project: Path,
    steps: Sequence[str],
    console: Console | None = None,
) -> int:
    """Run a pipeline and return the exit status: 0, or that of the first step that failed.

    The artifacts of the steps are in a folder that only this user can read, and that is removed afterwards: a step
    publishes what is to stay.

    Args:
        pipeline: a function that `dsl.pipeline` decorates.
        arguments: its parameters, such as those of a YAML file.
        project: folder that the components' folders are in; each has the name of its step.
        steps: names of the steps, in the order in which they are listed.
        console: where to show progress; standard error by default.

    Raises:
        InvalidInput: a parameter is unknown, missing, or of another type.
    """
    values = _checked(pipeline, arguments)
    terminal = console or Console(stderr=True, markup=False, emoji=False)
    components = StepComponents(project, {step: project / step for step in steps})
    with tempfile.TemporaryDirectory(prefix="privatekube-") as work, progress.RunView(terminal, steps) as view:
        failure = kfp_local.run(
            pipeline,
            values,
            run_id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            work=Path(work),
            components=components,
            observer=view.observer,
            log=io.StringIO(),
        )
    if failure is None:
        return 0
    reason = failure.line.removeprefix("error: ") or f"ended with exit status {failure.exit_status}"
    terminal.print(f"error: {failure.step}: {reason}", highlight=False, soft_wrap=True)
    return failure.exit_status if failure.exit_status > 0 else 1


def _checked(pipeline: BaseComponent, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in the types of the pipeline's parameters; kfp answers others with a traceback."""
    declared = pipeline.component_spec.inputs or {}
    parameters = pipeline.pipeline_spec.root.input_definitions.parameters
    fields: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = _TYPES[pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(parameter.parameter_type)]
        fields[name] = (kind, declared[name].default if parameter.is_optional else ...)
    model = pydantic.create_model("Arguments", __config__=pydantic.ConfigDict(extra="forbid", strict=False), **fields)
    try:
        checked: dict[str, Any] = model.model_validate(dict(arguments)).model_dump(exclude_unset=True)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(validation.first_fault(error)) from None
    return checked
