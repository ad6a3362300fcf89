"""What each step does with the budget and the data, told from its interface and from where its inputs are from."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from privatekube import errors
from privatekube.lint.graph import ROLES, Graph, Output, Step

GRANT, SPEND, RECEIPT = "grant", "spend", "receipt"
DATASET = "system.Dataset"
NO_ROLE = "none"
"""States that a step has no role; an empty value does not: it may be a value that was lost."""


class Role(enum.StrEnum):
    """What a step does."""

    CLAIMS = "claims"
    OPENS_DATA = "opens-data"
    DRAWS_NOISE = "draws-noise"
    PAYS = "pays"


@dataclass(frozen=True, slots=True)
class Roles:
    """The steps of a pipeline and what they do.

    Args:
        graph: the pipeline.
        of: the roles of each step, by its name.
    """

    graph: Graph
    of: Mapping[str, frozenset[Role]]

    def steps(self, *roles: Role) -> tuple[Step, ...]:
        """Return the steps that have one of `roles`."""
        return tuple(step for step in self.graph.steps.values() if self.of[step.name] & set(roles))

    def has(self, name: str | None, role: Role) -> bool:
        """Whether the step `name` has a role; no input of the pipeline has one."""
        return name is not None and role in self.of[name]

    def is_private(self, output: Output) -> bool:
        """Whether an output holds private data: what a step that opens data hands on without noise."""
        if output.step is None or is_document(output.name) or not self.has(output.step, Role.OPENS_DATA):
            return False
        types = self.graph.steps[output.step].output_types
        return not self.has(output.step, Role.DRAWS_NOISE) or types.get(output.name) == DATASET

    def is_release(self, output: Output) -> bool:
        """Whether an output carries noise: what a step that draws noise writes besides data and its spend."""
        is_drawn = self.has(output.step, Role.DRAWS_NOISE) and not is_document(output.name)
        return is_drawn and not self.is_private(output)

    def pays_for(self, paying: Step, drawing: Step) -> bool:
        """Whether `paying` is given the spend of `drawing`; without a spend, whether it is that step or comes after."""
        spends = {output for output in drawing.outputs if _is_named(output.name, SPEND)}
        if not spends:
            return drawing.name in {paying.name, *paying.after}
        return bool(spends & self.graph.lineage(paying.sources))


def read(graph: Graph) -> Roles:
    """Tell the roles of all steps: from what the step states, else from its inputs and outputs.

    Raises:
        InvalidInput: a step states an unknown role.
    """
    own = {step.name: _own_roles(step) for step in graph.steps.values()}
    roles = Roles(graph, own)
    while True:  # what a step that opens data hands on makes its readers open data, too
        readers = [
            step
            for step in graph.steps.values()
            if step.stated_roles is None
            and Role.OPENS_DATA not in roles.of[step.name]
            and any(roles.is_private(source) for source in step.sources)
        ]
        if not readers:
            return roles
        more = {step.name: roles.of[step.name] | {Role.OPENS_DATA} for step in readers}
        roles = Roles(graph, {**roles.of, **more})


def is_document(name: str) -> bool:
    """Whether an artifact is a Grant, a Spend or a Receipt, by its name."""
    return any(_is_named(name, document) for document in (GRANT, SPEND, RECEIPT))


def has_grant(step: Step) -> bool:
    """Whether a step reads a Grant: from a step that claims, or as an input of the whole pipeline."""
    return any(_is_named(source.name, GRANT) for source in step.sources)


def _is_named(name: str, document: str) -> bool:
    return name == document or name.startswith(f"{document}_")


SIGNS: Mapping[Role, Callable[[Step], bool]] = {
    Role.CLAIMS: lambda step: any(_is_named(name, GRANT) for name in step.output_types),
    Role.OPENS_DATA: lambda step: (
        DATASET in {*step.input_types.values(), *step.output_types.values()}
        or (step.has_workspace and bool(step.outputs))
    ),
    Role.DRAWS_NOISE: lambda step: any(_is_named(name, SPEND) for name in step.output_types),
    Role.PAYS: lambda step: any(_is_named(name, RECEIPT) for name in step.output_types),
}
"""What tells each role in a step's own interface."""


def _own_roles(step: Step) -> frozenset[Role]:
    if step.stated_roles is None:
        return frozenset(role for role, is_shown in SIGNS.items() if is_shown(step))
    names = [name.strip() for name in step.stated_roles.split(",")]
    if names == [NO_ROLE]:
        return frozenset()
    unknown = [name for name in names if name not in list(Role)]
    if unknown:
        bound = f"is not a role ({', '.join(Role)}), nor {NO_ROLE} alone"
        raise errors.invalid(f"{ROLES} of {step.name}", unknown[0], bound, "correct it")
    return frozenset(Role(name) for name in names)
