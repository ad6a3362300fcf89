"""What a compiled pipeline says about its artifacts: which step reads each one last, and which may be kept.

The step that pays is the one with an output `receipt`. It and the steps after it only publish: what they read is public
or carries noise, and may be kept until the run is published. Every other artifact may hold private data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class RunGraph:
    """The steps of a pipeline and the artifacts that they pass on, each named `task/artifact`.

    Args:
        steps: names of the steps in the order in which they run, without the exit task.
        paying: the step that pays; None if no step does.
        kept: artifacts that the paying step and the steps after it read.
        last_readers: the step that reads an artifact last, for all artifacts that are not kept.
    """

    steps: tuple[str, ...]
    paying: str | None
    kept: tuple[str, ...]
    last_readers: Mapping[str, str]


def read(spec: Any, step_of: Callable[[Sequence[str]], str]) -> RunGraph:
    """Return the graph of a compiled pipeline.

    Args:
        spec: kfp's PipelineSpec.
        step_of: returns the step that a container's command runs.
    """
    tasks = _tasks_in_order(spec)
    names = {task: step_of(_command(spec, tasks[task].component_ref.name)) for task in tasks}
    readers: dict[str, list[str]] = {}
    for task in tasks:
        for artifact in _inputs(tasks[task], tasks):
            readers.setdefault(artifact, []).append(names[task])
    steps = tuple(names.values())
    pays = [names[task] for task in tasks if RECEIPT in _outputs(spec, tasks[task])]
    publishing = steps[steps.index(pays[0]) :] if pays else ()
    kept = tuple(sorted(name for name, steps_of in readers.items() if set(steps_of) & set(publishing)))
    last_readers = {artifact: steps_of[-1] for artifact, steps_of in readers.items() if artifact not in kept}
    return RunGraph(steps, pays[0] if pays else None, kept, last_readers)


def task_names(spec: Any) -> tuple[str, ...]:
    """Return the names of the tasks that run a container, in order, with those of exit tasks at the end."""
    ordered = _tasks_in_order(spec)
    return (*ordered, *(name for name in _all_tasks(spec) if name not in ordered))


def paying_task(spec: Any) -> str | None:
    """Return the name of the task that pays; None if none does."""
    return next((name for name, task in _all_tasks(spec).items() if RECEIPT in _outputs(spec, task)), None)


def _tasks_in_order(spec: Any) -> dict[str, Any]:
    """Return the tasks that run a container, each after those that it depends on; the exit task is not among them."""
    tasks = {name: task for name, task in _all_tasks(spec).items() if not task.trigger_policy.strategy}
    ordered: dict[str, Any] = {}
    while len(ordered) < len(tasks):
        for name in sorted(tasks):
            if name not in ordered and all(other in ordered for other in tasks[name].dependent_tasks if other in tasks):
                ordered[name] = tasks[name]
    return ordered


def _all_tasks(spec: Any) -> dict[str, Any]:
    """Return the tasks that run a container, of all groups."""
    groups = [component.dag.tasks for component in spec.components.values() if component.HasField("dag")]
    groups.append(spec.root.dag.tasks)
    return {
        name: task
        for group in groups
        for name, task in group.items()
        if spec.components[task.component_ref.name].executor_label
    }


def _command(spec: Any, component: str) -> list[str]:
    executor = spec.deployment_spec["executors"][spec.components[component].executor_label]
    return list(executor["container"]["command"])


def _inputs(task: Any, tasks: Mapping[str, Any]) -> list[str]:
    """Return the artifacts that a task reads; their folder is named after the component that writes them."""
    sources = [artifact.task_output_artifact for artifact in task.inputs.artifacts.values()]
    return [f"{_folder(tasks[source.producer_task])}/{source.output_artifact_key}" for source in sources]


def _folder(task: Any) -> str:
    return str(task.component_ref.name).removeprefix("comp-")


def _outputs(spec: Any, task: Any) -> list[str]:
    return list(spec.components[task.component_ref.name].output_definitions.artifacts)
