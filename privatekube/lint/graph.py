"""The steps of a pipeline as one flat list: what each reads, from where, and what has succeeded before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ROLES = "PRIVATEKUBE_ROLES"
"""Environment variable of a step that states its roles, where its interface does not tell them."""


@dataclass(frozen=True, slots=True)
class Output:
    """An artifact or a parameter that a step writes.

    Args:
        step: name of the step; None for an input of the whole pipeline.
        name: name of the output.
    """

    step: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """A task that runs a program, or that imports an artifact.

    Args:
        name: name of the task; with the names of the graphs around it if several steps have that name.
        image: image that it runs in; None if it imports an artifact.
        inputs: names of its inputs, and the outputs that each is from.
        input_types: type of each artifact that it reads, such as system.Dataset.
        output_types: type of each artifact that it writes.
        output_parameters: names of the parameters that it writes.
        is_cached: whether its outputs may be taken from an earlier run.
        retries: how often it, or a graph around it, is repeated after a failure.
        after: names of the steps that have succeeded when it starts.
        exit_tasks: exit tasks that run when a graph around it has ended, in whatever way.
        has_workspace: whether it is given the workspace of the run, in which the private data is.
        secrets: names of the Secrets that its pod gets.
        shared_volumes: volumes that its pod mounts and that outlive the run, in words.
        stated_roles: value of the variable that states its roles; None if it has none.
    """

    name: str
    image: str | None
    inputs: Mapping[str, frozenset[Output]]
    input_types: Mapping[str, str]
    output_types: Mapping[str, str]
    output_parameters: frozenset[str]
    is_cached: bool
    retries: int
    after: frozenset[str]
    exit_tasks: frozenset[str]
    has_workspace: bool
    secrets: tuple[str, ...]
    shared_volumes: tuple[str, ...]
    stated_roles: str | None

    @property
    def sources(self) -> frozenset[Output]:
        """All outputs that it reads."""
        return frozenset(source for sources in self.inputs.values() for source in sources)

    @property
    def outputs(self) -> frozenset[Output]:
        """All that it writes."""
        return frozenset(Output(self.name, name) for name in (*self.output_types, *self.output_parameters))


@dataclass(frozen=True, slots=True)
class Graph:
    """A pipeline.

    Args:
        steps: by name, in the order of the package.
        returned: the outputs of steps that the pipeline itself returns.
    """

    steps: Mapping[str, Step]
    returned: frozenset[Output]

    def lineage(self, outputs: frozenset[Output]) -> frozenset[Output]:
        """Return `outputs` and all that they were made from, directly or by other steps."""
        found: set[Output] = set()
        open_ends = set(outputs)
        while open_ends:
            output = open_ends.pop()
            found.add(output)
            step = self.steps.get(output.step) if output.step is not None else None
            open_ends |= (step.sources - found) if step is not None else set()
        return frozenset(found)
