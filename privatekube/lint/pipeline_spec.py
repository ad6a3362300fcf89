"""The part of a compiled pipeline that the rules read: KFP's pipeline spec.

Names are those of KFP's protocol buffers, whose JSON form allows both camelCase and snake_case. Fields that no rule
needs are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic.alias_generators import to_camel


class Message(pydantic.BaseModel):
    """Base of the parts of a package."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True
    )


class ArtifactType(Message):
    """The type of an artifact, such as system.Dataset."""

    schema_title: str = ""


class ArtifactSpec(Message):
    """The declaration of an artifact."""

    artifact_type: ArtifactType = ArtifactType()


class Definitions(Message):
    """The inputs or the outputs of a component."""

    artifacts: Mapping[str, ArtifactSpec] = {}
    parameters: Mapping[str, Mapping[str, Any]] = {}


class TaskOutput(Message):
    """A reference to an artifact or a parameter that another task of the same graph writes."""

    producer_task: str
    output_artifact_key: str = ""
    output_parameter_key: str = ""

    @property
    def key(self) -> str:
        """The name of the output."""
        return self.output_artifact_key or self.output_parameter_key


class RuntimeValue(Message):
    """A value that the package states itself."""

    constant: Any = None


class TaskInput(Message):
    """Where the value of an input is from."""

    task_output_artifact: TaskOutput | None = None
    task_output_parameter: TaskOutput | None = None
    component_input_artifact: str | None = None
    component_input_parameter: str | None = None
    runtime_value: RuntimeValue = RuntimeValue()

    @property
    def task_output(self) -> TaskOutput | None:
        """The output of a task, if it is from one."""
        return self.task_output_artifact or self.task_output_parameter

    @property
    def graph_input(self) -> str | None:
        """The input of the enclosing graph, if it is from one."""
        return self.component_input_artifact or self.component_input_parameter


class TaskInputs(Message):
    """The inputs of a task."""

    artifacts: Mapping[str, TaskInput] = {}
    parameters: Mapping[str, TaskInput] = {}


class CachingOptions(Message):
    """Whether a task's outputs may be taken from an earlier run."""

    enable_cache: bool = False


class RetryPolicy(Message):
    """How often a task is repeated."""

    max_retry_count: int = 0


class TriggerPolicy(Message):
    """When a task starts."""

    strategy: str = ""


class ComponentRef(Message):
    """The component that a task runs."""

    name: str


class Items(Message):
    """What a loop runs over."""

    input_parameter: str | None = None
    input_artifact: str | None = None


class Iterator(Message):
    """A loop over a task: the input that changes, and what it is from."""

    item_input: str = ""
    items: Items = Items()


class TaskSpec(Message):
    """One node of a graph."""

    component_ref: ComponentRef
    caching_options: CachingOptions = CachingOptions()
    dependent_tasks: tuple[str, ...] = ()
    inputs: TaskInputs = TaskInputs()
    retry_policy: RetryPolicy = RetryPolicy()
    trigger_policy: TriggerPolicy = TriggerPolicy()
    parameter_iterator: Iterator | None = None
    artifact_iterator: Iterator | None = None


class Selector(Message):
    """An output of a task in a graph that the graph returns."""

    producer_subtask: str
    output_artifact_key: str = ""
    output_parameter_key: str = ""

    @property
    def key(self) -> str:
        """The name of the task's output."""
        return self.output_artifact_key or self.output_parameter_key


class OneOf(Message):
    """Alternatives for a parameter that a graph returns."""

    parameter_selectors: tuple[Selector, ...] = ()


class GraphArtifact(Message):
    """An artifact that a graph returns."""

    artifact_selectors: tuple[Selector, ...] = ()


class GraphParameter(Message):
    """A parameter that a graph returns."""

    value_from_parameter: Selector | None = None
    value_from_oneof: OneOf = OneOf()

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The outputs of tasks that it may be."""
        first = () if self.value_from_parameter is None else (self.value_from_parameter,)
        return (*first, *self.value_from_oneof.parameter_selectors)


class GraphOutputs(Message):
    """What a graph returns."""

    artifacts: Mapping[str, GraphArtifact] = {}
    parameters: Mapping[str, GraphParameter] = {}

    def selectors(self, name: str) -> tuple[Selector, ...]:
        """Return the outputs of tasks that the graph returns under `name`."""
        artifact, parameter = self.artifacts.get(name), self.parameters.get(name)
        return (
            *(() if artifact is None else artifact.artifact_selectors),
            *(() if parameter is None else parameter.selectors),
        )


class Dag(Message):
    """A graph of tasks."""

    tasks: Mapping[str, TaskSpec] = {}
    outputs: GraphOutputs = GraphOutputs()


class ComponentSpec(Message):
    """A component: a program, or a graph."""

    executor_label: str = ""
    dag: Dag | None = None
    input_definitions: Definitions = Definitions()
    output_definitions: Definitions = Definitions()


class Variable(Message):
    """A variable of a program's environment."""

    name: str
    value: str = ""


class Container(Message):
    """A program in an image."""

    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its command line, and the values of its variables."""
        return (*self.command, *self.args, *(variable.value for variable in self.env))


class Executor(Message):
    """What runs a component; an importer has no container."""

    container: Container | None = None


class Deployment(Message):
    """What runs each component."""

    executors: Mapping[str, Executor] = {}


class PipelineSpec(Message):
    """A compiled pipeline."""

    components: Mapping[str, ComponentSpec] = {}
    deployment_spec: Deployment
    root: ComponentSpec
    schema_version: str
