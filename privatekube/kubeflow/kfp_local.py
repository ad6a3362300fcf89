"""Run the pipeline on this machine through kfp.local: each component's command in this Python, or in its image.

kfp.local 2.17 has no runner for container components in the current environment, and its DockerRunner reports some
failed containers as success. So four names of that pinned version are replaced for the time of a run:
SubprocessTaskHandler (runs the command here), get_outputs_for_task (a declared artifact exists once its step is done,
as on a cluster), make_random_id (the run's id is ours), run_docker_container (keeps a container until its exit status
is read). tests/pipelines/test_local.py has a canary for each.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from kfp import local
from kfp.local import executor_output_utils, placeholder_utils, status, subprocess_task_handler

from privatekube.kubeflow import container_steps
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import Observer, StepFailure, Steps


def run(
    pipeline: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    run_id: str,
    work: Path,
    components: StepComponents,
    observer: Observer,
    log: TextIO,
    container_arguments: Mapping[str, Any] | None = None,
) -> StepFailure | None:
    """Run `pipeline` here and wait for it; its exit task runs even when a step fails.

    Args:
        pipeline: the graph, see `dp_lstm.build`.
        arguments: the pipeline's parameters.
        run_id: what the steps get as the run's id.
        work: folder for the artifacts that steps hand on; it holds private data while the run lasts.
        components: names of the steps, and the folders that their modules are found in.
        observer: is told of each step.
        log: gets what kfp.local itself writes.
        container_arguments: run the images instead, with these arguments of docker's `containers.run`.

    Returns:
        None on success, else the first step that failed.
    """
    steps = Steps(components, observer)
    runner = (
        local.SubprocessRunner(use_venv=False)
        if container_arguments is None
        else local.DockerRunner(**container_arguments)
    )
    local.init(runner=runner, pipeline_root=str(work), raise_on_error=True)
    try:
        with contextlib.redirect_stdout(log), _patched(steps, run_id), warnings.catch_warnings():
            # limits that only a cluster can keep are no news on a laptop
            warnings.filterwarnings("ignore", message=".* have no effect in the current local runner")
            pipeline(**arguments)
    except RuntimeError as error:
        return steps.failure or StepFailure("pipeline", 1, str(error))
    except BaseException:
        steps.stop()
        raise
    return steps.failure


@contextlib.contextmanager
def _patched(steps: Steps, run_id: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for owner, name, replacement in (
            (subprocess_task_handler, "SubprocessTaskHandler", _handler(steps)),
            (executor_output_utils, "get_outputs_for_task", _declared_outputs),
            (placeholder_utils, "make_random_id", lambda: run_id),
        ):
            stack.enter_context(_replaced(owner, name, replacement))
        with contextlib.suppress(ImportError):  # docker is needed by --runner docker alone
            from kfp.local import docker_task_handler  # noqa: PLC0415

            in_container = container_steps.replacement(steps)
            stack.enter_context(_replaced(docker_task_handler, "run_docker_container", in_container))
        yield


def _handler(steps: Steps) -> type:
    class CurrentEnvironmentHandler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]  # untyped
        """Runs a container component's command in this Python."""

        def validate_image(self, image: str) -> None:
            """Any image will do: it is not used."""

        def validate_not_container_component(self, full_command: list[str]) -> None:
            """Container components are what runs here."""

        def validate_not_containerized_python_component(self, full_command: list[str]) -> None:
            """Not checked, likewise."""

        def run(self) -> status.Status:
            """Run the command; anything but exit status 0 is a failure."""
            done = steps.run(self.full_command, self.env_vars) == 0
            return status.Status.SUCCESS if done else status.Status.FAILURE

    return CurrentEnvironmentHandler


def _declared_outputs(executor_input: Any, component_spec: Any) -> dict[str, Any]:
    described = executor_output_utils.load_executor_output(executor_input.outputs.output_file)
    for name, artifacts in executor_input.outputs.artifacts.items():
        if name not in described.artifacts:
            described.artifacts[name].CopyFrom(artifacts)
    outputs: dict[str, Any] = executor_output_utils.get_outputs_from_executor_output(
        executor_output=described, executor_input=executor_input, component_spec=component_spec
    )
    return outputs


@contextlib.contextmanager
def _replaced(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)
