"""The plan in a Grant: what each step of the run may do, with its noise."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Self

import pydantic

from privatekube import errors, validation
from privatekube.privacy.sensitivity import Per, Sensitivity
from privatekube.steps.documents.document import Frozen, Json

if TYPE_CHECKING:
    from privatekube.privacy import solving


class StatedSensitivity(Frozen):
    """How far a record or a privacy unit moves the values of a step's query, as the plan states it."""

    value: validation.Positive
    per: Per

    @classmethod
    def of(cls, stated: Sensitivity | None) -> Self | None:
        """Return the JSON form of what a plan states."""
        return None if stated is None else cls(**asdict(stated))


class GrantedStep(Frozen):
    """What one step may run; `privacy.solving.SolvedStep` in JSON.

    Args:
        name: of the step.
        part: the units that it runs on: `all`, or one of the plan's disjoint parts.
        mechanism: what it runs, as a plan names it.
        parameters: what the step needs to run it, such as the scale of its noise.
        event: the DpEvent that it may run, as `events.to_json` writes it.
        sensitivity: as the plan states it; None where it states none. That in `parameters` is of a unit.
        trial_sensitivities: likewise, of each mechanism of a trial; none where the step has no trials.
        releases: what the step releases, in words; None if the plan does not say.
    """

    name: validation.StepName
    part: validation.StepName
    mechanism: validation.Text
    parameters: Json
    event: Json
    sensitivity: StatedSensitivity | None = None
    trial_sensitivities: tuple[StatedSensitivity | None, ...] = ()
    releases: validation.Line | None = None


class GrantedPlan(Frozen):
    """The mechanism of every step of a run with its noise, by the name of the step.

    Args:
        steps: in the order in which they run; none where the run demanded a budget and chooses its noise itself.
        disjoint: the parts of the units that no unit has in common; steps on them compose in parallel.
    """

    steps: tuple[GrantedStep, ...]
    disjoint: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _require_sound(self) -> Self:
        names = [step.name for step in self.steps]
        for step in self.steps:
            if names.count(step.name) > 1:
                raise errors.invalid("steps", step.name, "is given twice", "give each step its own name")
            if step.part not in ("all", *self.disjoint):
                raise errors.invalid("part", step.part, "is not declared disjoint", "restore the original")
        return self

    @classmethod
    def of(cls, plan: solving.SolvedPlan) -> GrantedPlan:
        """Return the JSON form of `plan`."""
        from privatekube.privacy import events  # noqa: PLC0415 - the accounting takes a second to import

        steps = (
            GrantedStep(
                name=step.name,
                part=step.part,
                mechanism=step.mechanism,
                parameters=dict(step.parameters),
                event=events.to_json(step.event),
                sensitivity=StatedSensitivity.of(step.sensitivity),
                trial_sensitivities=tuple(map(StatedSensitivity.of, step.trial_sensitivities)),
                releases=step.releases,
            )
            for step in plan.steps
        )
        return cls(steps=tuple(steps), disjoint=plan.disjoint)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps."""
        return tuple(step.name for step in self.steps)

    def step(self, name: str) -> GrantedStep:
        """Return the step of that name.

        Raises:
            InvalidInput: the plan has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(self.names) or "none: the run demanded a budget, and its steps choose their noise"
        raise errors.invalid("step", name, f"is not in the plan, which has {known}", "plan it")

    def part(self, name: str) -> str:
        """Return the units that a step may run on: all, where nothing was planned.

        Raises:
            InvalidInput: the plan has steps, and not this one.
        """
        return self.step(name).part if self.steps else "all"
