"""Run the pipeline on this machine through kfp.local: each component's command in this Python, or in its image.

kfp.local 2.17 has no runner for container components in the current environment, and its DockerRunner reports some
failed containers as success. Therefore five names of that pinned version are replaced during a run:
SubprocessTaskHandler (runs the command here), get_outputs_for_task (a declared artifact exists once its step has ended,
as on a cluster), make_random_id (the run's id is ours), get_local_pipeline_resource_name (a run that goes on in another
process finds its artifacts), run_docker_container (keeps a container until its exit status has been read). A test
checks each of them against the installed version of kfp.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from kfp import local
from kfp.local import (
    docker_task_handler,
    executor_input_utils,
    executor_output_utils,
    placeholder_utils,
    status,
    subprocess_task_handler,
)

from privatekube.kubeflow import container_steps, run_folder
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import Observer, StepFailure, Steps
from privatekube.storage import private_files


def run(
    pipeline: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    run_id: str,
    work: Path,
    workspace: Path,
    components: StepComponents,
    observer: Observer,
    log: TextIO,
    ended: frozenset[str] = frozenset(),
    container_arguments: Mapping[str, Any] | None = None,
) -> StepFailure | None:
    """Run `pipeline` here and wait for it; its exit task runs even when a step fails.

    Args:
        pipeline: the graph, see `dp_lstm.build`.
        arguments: the pipeline's parameters.
        run_id: id of the run, which the steps are given.
        work: folder for the artifacts that steps pass on.
        workspace: folder for the private data that steps pass on, which kfp.local removes when the run ends.
        components: names of the steps, and the folders that their modules are found in.
        observer: receives the start, the lines and the end of each step.
        log: receives the output of kfp.local itself.
        ended: steps that ended well in an earlier process, whose artifacts are in `work`: they are not run again.
        container_arguments: if given, run the images, with these arguments of docker's `containers.run`.

    Returns:
        None on success, else the first step that failed.
    """
    steps = Steps(components, observer, ended)
    runner = (
        local.SubprocessRunner(use_venv=False)
        if container_arguments is None
        else local.DockerRunner(**container_arguments)
    )
    if container_arguments is None:
        steps.prepare()
    private_files.make_folder(workspace)
    local.init(runner=runner, pipeline_root=str(work), workspace_root=str(workspace), raise_on_error=True)
    try:
        with contextlib.redirect_stdout(log), _patch_kfp(steps, run_id), warnings.catch_warnings():
            # kfp warns of limits that only a cluster can enforce
            warnings.filterwarnings("ignore", message=".* have no effect in the current local runner")
            pipeline(**arguments)
    except RuntimeError as error:
        return steps.failure or StepFailure("pipeline", 1, str(error))
    return steps.failure


@contextlib.contextmanager
def _patch_kfp(steps: Steps, run_id: str) -> Iterator[None]:
    """Replace the five names of kfp.local, and restore them at the end."""
    replacements = (
        (subprocess_task_handler, "SubprocessTaskHandler", _handler_class(steps)),
        (executor_output_utils, "get_outputs_for_task", _declared_outputs),
        (placeholder_utils, "make_random_id", lambda: run_id),
        (executor_input_utils, "get_local_pipeline_resource_name", lambda _name: run_folder.STEPS),
        (docker_task_handler, "run_docker_container", container_steps.replacement(steps)),
    )
    with contextlib.ExitStack() as stack:
        for module, name, replacement in replacements:
            stack.enter_context(_replace_attribute(module, name, replacement))
        yield


def _handler_class(steps: Steps) -> type:
    """Return kfp.local's task handler, made to run container components in this Python."""

    class CurrentEnvironmentHandler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]  # untyped
        """Runs the command of a container component in this Python."""

        def validate_image(self, image: str) -> None:
            """Accept any image: it is not used."""

        def validate_not_container_component(self, full_command: list[str]) -> None:
            """Accept container components."""

        def validate_not_containerized_python_component(self, full_command: list[str]) -> None:
            """Accept every component."""

        def run(self) -> status.Status:
            """Run the command; every exit status other than 0 is a failure."""
            exit_status = steps.run(self.full_command, self.env_vars)
            return status.Status.FAILURE if exit_status else status.Status.SUCCESS

    return CurrentEnvironmentHandler


def _declared_outputs(executor_input: Any, component_spec: Any) -> dict[str, Any]:
    """Return the outputs of a step, with each artifact that it declares."""
    executor_output = executor_output_utils.load_executor_output(executor_input.outputs.output_file)
    for name, artifacts in executor_input.outputs.artifacts.items():
        if name not in executor_output.artifacts:
            executor_output.artifacts[name].CopyFrom(artifacts)
    outputs: dict[str, Any] = executor_output_utils.get_outputs_from_executor_output(
        executor_output=executor_output, executor_input=executor_input, component_spec=component_spec
    )
    return outputs


@contextlib.contextmanager
def _replace_attribute(module: Any, name: str, replacement: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)
