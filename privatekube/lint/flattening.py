"""Open all graphs of a compiled pipeline into one list of steps.

Loops, conditions, exit handlers and pipelines in pipelines are graphs of their own in a package, whose inputs and
outputs stand for those of the tasks in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from privatekube import errors
from privatekube.lint.graph import ROLES, Graph, Output, Step
from privatekube.lint.package import Package
from privatekube.lint.pipeline_spec import (
    ArtifactSpec,
    ComponentSpec,
    Container,
    Dag,
    TaskInput,
    TaskSpec,
)
from privatekube.lint.platform_spec import PodSpec

MOST_STEPS = 1_000
"""How many tasks a pipeline may have; Kubeflow's workflows hold fewer."""

_WORKSPACE = "{{$.workspace_path}}"
"""What Kubeflow replaces by the path of the run's workspace."""
_EVEN_AFTER_FAILURES = "ALL_UPSTREAM_TASKS_COMPLETED"
_REMEDY = "compile the pipeline again"

Path = tuple[str, ...]
"""The names of the graphs around a task, from the outermost one, and its own."""

K = TypeVar("K", Path, str)
V = TypeVar("V")


def flatten(package: Package) -> Graph:
    """Return the steps of a pipeline.

    Raises:
        InvalidInput: a reference in it leads nowhere, a component contains itself, or it has too many tasks.
    """
    tasks = _Tasks(package)
    root = package.pipeline.root
    returned = (tasks.returned((), root, name) for name in _returned_names(root))
    steps = [tasks.step(path) for path in tasks.steps]
    return Graph({step.name: step for step in steps}, frozenset(output for outputs in returned for output in outputs))


@dataclass(frozen=True, slots=True)
class _Task:
    """A task, the component that it runs, and the tasks of the same graph."""

    spec: TaskSpec
    component: ComponentSpec
    siblings: Mapping[str, TaskSpec]


class _Tasks:
    """All tasks of a pipeline, and what their references lead to."""

    def __init__(self, package: Package) -> None:
        self._pipeline, self._platform = package.pipeline, package.platform
        self._tasks: dict[Path, _Task] = {}
        self._outputs: dict[tuple[Path, str], frozenset[Output]] = {}
        self._collect((), package.pipeline.root, inside=())
        self.steps = [path for path, task in self._tasks.items() if task.component.dag is None]
        self._names = _names(self.steps)
        self._needed = {path: self._needed_by(path) for path in self.steps}

    def step(self, path: Path) -> Step:
        """Return the step at `path`."""
        spec, component = self._tasks[path].spec, self._tasks[path].component
        container = _found(self._pipeline.deployment_spec.executors, component.executor_label, "executor").container
        pod = self._platform.deployment_spec.executors.get(component.executor_label, PodSpec())
        inputs = {**spec.inputs.artifacts, **spec.inputs.parameters}
        has_workspace = any(self._has_workspace(path[:-1], value) for value in inputs.values()) or (
            container is not None and any(_WORKSPACE in word for word in container.words)
        )
        return Step(
            name=self._names[path],
            image=None if container is None else container.image,
            inputs={name: self._sources(path[:-1], value) for name, value in inputs.items()},
            input_types=_types(component.input_definitions.artifacts),
            output_types=_types(component.output_definitions.artifacts),
            output_parameters=frozenset(component.output_definitions.parameters),
            is_cached=spec.caching_options.enable_cache,
            retries=max(self._tasks[outer].spec.retry_policy.max_retry_count for outer in _prefixes(path)),
            after=frozenset(self._names[earlier] for earlier in self._succeeded_before(path)),
            exit_tasks=frozenset(name for outer in _prefixes(path[:-1]) for name in self._exit_tasks(outer)),
            has_workspace=has_workspace,
            secrets=pod.secrets,
            shared_volumes=(*self._shared_volumes(path, pod), *(self._lasting_workspace() if has_workspace else ())),
            stated_roles=None if container is None else _stated_roles(container),
        )

    def returned(self, path: Path, component: ComponentSpec, name: str) -> frozenset[Output]:
        """Return the outputs of steps that the graph at `path` returns under `name`."""
        selectors = (component.dag or Dag()).outputs.selectors(name)
        found = (self._written((*path, selector.producer_subtask), selector.key) for selector in selectors)
        return frozenset(output for outputs in found for output in outputs)

    def _collect(self, path: Path, component: ComponentSpec, *, inside: tuple[str, ...]) -> None:
        tasks = (component.dag or Dag()).tasks
        for name, spec in tasks.items():
            used = spec.component_ref.name
            if used in inside:
                raise errors.invalid("component", used, "contains itself", _REMEDY)
            if len(self._tasks) == MOST_STEPS:
                raise errors.InvalidInput(f"pipeline: has more than {MOST_STEPS} tasks; check its parts alone")
            inner = _found(self._pipeline.components, used, "component")
            self._tasks[*path, name] = _Task(spec, inner, tasks)
            self._collect((*path, name), inner, inside=(*inside, used))

    def _sources(self, path: Path, value: TaskInput) -> frozenset[Output]:
        """Return the outputs of steps that an input of a task in the graph at `path` is from."""
        if value.task_output is not None:
            return self._written((*path, value.task_output.producer_task), value.task_output.key)
        if value.graph_input is None:
            return frozenset()
        if not path:
            return frozenset({Output(None, value.graph_input)})
        outer = _input(self._tasks[path].spec, value.graph_input)
        return frozenset() if outer is None else self._sources(path[:-1], outer)

    def _has_workspace(self, path: Path, value: TaskInput) -> bool:
        """Whether an input of a task in the graph at `path` names the workspace, or a place in it."""
        if value.graph_input is None or not path:
            return _WORKSPACE in str(value.runtime_value.constant)
        outer = _input(self._tasks[path].spec, value.graph_input)
        return outer is not None and self._has_workspace(path[:-1], outer)

    def _shared_volumes(self, path: Path, pod: PodSpec) -> list[str]:
        """Return the volumes of a pod whose claim no step of the run has made."""
        names = [(mount.mount_path, self._sources(path[:-1], mount.name)) for mount in pod.pvc_mount]
        return [
            f"the volume at {place or '(no path)'}"
            for place, sources in names
            if not sources or any(source.step is None for source in sources)
        ]

    def _lasting_workspace(self) -> list[str]:
        claim = self._platform.pipeline_config.workspace.kubernetes.pvc_spec_patch
        is_new = not (claim.volume_name or claim.data_source or claim.data_source_ref)
        return [] if is_new else ["a volume that exists already as its workspace"]

    def _written(self, path: Path, name: str) -> frozenset[Output]:
        """Return the outputs of steps that the output `name` of the task at `path` stands for."""
        if (path, name) not in self._outputs:
            component = _found(self._tasks, path, "task").component
            is_step = component.dag is None
            self._outputs[path, name] = (
                frozenset({Output(self._names[path], name)}) if is_step else self.returned(path, component, name)
            )
        return self._outputs[path, name]

    def _needed_by(self, path: Path) -> frozenset[Path]:
        """Return the steps without whose success neither the step at `path` nor a graph around it starts."""
        outer = [prefix for prefix in _prefixes(path) if not _runs_after_failures(self._tasks[prefix].spec)]
        needed = ((*prefix[:-1], name) for prefix in outer for name in _waits_for(self._tasks[prefix].spec))
        return frozenset(step for earlier in needed for step in self._steps_in(earlier))

    def _steps_in(self, path: Path) -> list[Path]:
        _found(self._tasks, path, "task")
        return [step for step in self.steps if step[: len(path)] == path]

    def _succeeded_before(self, path: Path) -> set[Path]:
        found: set[Path] = set()
        open_ends = set(self._needed[path])
        while open_ends:
            step = open_ends.pop()
            found.add(step)
            open_ends |= self._needed[step] - found
        return found

    def _exit_tasks(self, path: Path) -> list[str]:
        """Return the tasks that run after the graph at `path`, however it ends."""
        return [
            "/".join((*path[:-1], name))
            for name, spec in self._tasks[path].siblings.items()
            if _runs_after_failures(spec) and path[-1] in _waits_for(spec)
        ]


def _names(paths: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each step: that of its task if no other step has it, else its whole path."""
    paths = list(paths)
    short = [path[-1] for path in paths]
    return {path: path[-1] if short.count(path[-1]) == 1 else "/".join(path) for path in paths}


def _prefixes(path: Path) -> list[Path]:
    """Return the paths of the graphs around a task, and its own."""
    return [path[:depth] for depth in range(1, len(path) + 1)]


def _runs_after_failures(spec: TaskSpec) -> bool:
    return spec.trigger_policy.strategy == _EVEN_AFTER_FAILURES


def _waits_for(spec: TaskSpec) -> frozenset[str]:
    inputs = (*spec.inputs.artifacts.values(), *spec.inputs.parameters.values())
    sources = (value.task_output for value in inputs)
    return frozenset({*spec.dependent_tasks, *(source.producer_task for source in sources if source is not None)})


def _input(spec: TaskSpec, name: str) -> TaskInput | None:
    """Return the input `name` of a graph; the item of a loop is from what the loop runs over."""
    inputs = {**spec.inputs.parameters, **spec.inputs.artifacts}
    for loop in (spec.parameter_iterator, spec.artifact_iterator):
        if loop is not None and loop.item_input == name:
            return inputs.get(loop.items.input_parameter or loop.items.input_artifact or "")
    return inputs.get(name)


def _stated_roles(container: Container) -> str | None:
    """Return the value of the variable that states a step's roles; of two, the later one counts, as in a pod."""
    return {variable.name: variable.value for variable in container.env}.get(ROLES)


def _returned_names(component: ComponentSpec) -> tuple[str, ...]:
    outputs = (component.dag or Dag()).outputs
    return (*outputs.artifacts, *outputs.parameters)


def _types(artifacts: Mapping[str, ArtifactSpec]) -> dict[str, str]:
    return {name: artifact.artifact_type.schema_title for name, artifact in artifacts.items()}


def _found(values: Mapping[K, V], key: K, kind: str) -> V:
    value = values.get(key)
    if value is None:
        name = "/".join(key) if isinstance(key, tuple) else key
        raise errors.invalid(kind, name, "is referred to but not defined", _REMEDY)
    return value
