"""Run a pipeline of your own on this machine: each component's command in this Python, with its progress shown."""

from __future__ import annotations

import io
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp.dsl.base_component import BaseComponent
from rich.console import Console

from privatekube.client import connect
from privatekube.kubeflow import container_steps, kfp_local, pipeline_arguments, progress, scratch_folder
from privatekube.kubeflow.step_components import StepComponents
from privatekube.storage import uris


def run(
    pipeline: BaseComponent,
    arguments: Mapping[str, Any],
    *,
    project: Path,
    steps: Sequence[str],
    in_containers: bool = False,
    console: Console | None = None,
) -> int:
    """Run a pipeline and return the exit status: 0, or that of the first step that failed.

    The artifacts of the steps are in a folder that only this user can read, and that is removed afterwards, by the next
    run if this process is killed: a step publishes what is to stay.

    Args:
        pipeline: a function that `dsl.pipeline` decorates.
        arguments: its parameters, such as those of a YAML file.
        project: folder that the components' folders are in; each has the name of its step.
        steps: names of the steps, in the order in which they are listed.
        in_containers: whether the steps run in their images, which component.yaml names. They reach the store, the data
            of the blocks in the pipeline's `namespace`, and its `prefix`.
        console: where to show progress; standard error by default.

    Raises:
        InvalidInput: a parameter is unknown, missing, or of another type; or an image is not built.
    """
    values = pipeline_arguments.checked(pipeline.pipeline_spec, arguments)
    terminal = console or Console(stderr=True, markup=False, emoji=False)
    components = StepComponents(project, {step: project / step for step in steps})
    if in_containers and "prefix" in values:  # a container has other folders
        values["prefix"] = uris.absolute(values["prefix"])
        uris.require_writable(values["prefix"])
    options = _container_options(components, values) if in_containers else None
    with scratch_folder.created() as folder, progress.RunView(terminal, steps) as view:
        failure = kfp_local.run(
            pipeline,
            values,
            run_id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            work=folder / "work",
            workspace=folder / "workspace",
            components=components,
            observer=view.observer,
            log=io.StringIO(),
            container_arguments=options,
        )
    if failure is None:
        return 0
    reason = failure.line.removeprefix("error: ") or f"ended with exit status {failure.exit_status}"
    terminal.print(f"error: {failure.step}: {reason}", highlight=False, soft_wrap=True)
    return failure.exit_status if failure.exit_status > 0 else 1


def _container_options(components: StepComponents, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how to run the images, after checking that they and an engine are there."""
    engine = container_steps.prepare(components.require_images(pushed=False))
    with connect.connect() as client:
        blocks = client.list_blocks(values.get("namespace"))
    return container_steps.arguments(values.get("prefix"), blocks, container_engine=engine)
