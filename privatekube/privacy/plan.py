"""The plan of a run: its mechanisms by the name of the step that runs them, before their noise is known.

    Plan(
        steps=(
            PlannedStep("statistics", DiscreteLaplace(sensitivity=1), share=0.05),
            PlannedStep("train", DpSgd(sampling_rate=0.2, epochs=15), part="train"),
            PlannedStep("evaluate", DiscreteLaplace(sensitivity=1), part="test"),
        ),
        disjoint=("train", "test"),
    )

`privacy.solving.solve` finds the noise of all steps; `client.plan_file` reads a plan from YAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import numbers, rounding
from privatekube.privacy.planned_mechanisms import Event, Mechanism

ALL = "all"
"""The part that has every privacy unit."""

APPROVAL = "allocate"
"""The name under which the Grant of a run is registered with its claim; no step may have it."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_LINE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a run, and what it runs.

    Args:
        name: of the step, unique in its plan.
        mechanism: what it runs.
        part: the units that it runs on: `all`, or one of the plan's disjoint parts.
        releases: what it releases, in words, for the privacy card; None if the plan does not say.
        share: the fraction of epsilon and delta that the step gets, as if it ran alone; a mechanism without a delta
            gets that fraction of epsilon alone. None: the step is free, and gets what the others leave.

    Raises:
        InvalidInput: a name or a text is malformed, the share is not in (0, 1], or an event, whose cost is fixed, has a
            share.
    """

    name: str
    mechanism: Mechanism
    part: str = ALL
    share: float | None = None
    releases: str | None = None

    def __post_init__(self) -> None:
        for field, text in (("name", self.name), ("part", self.part)):
            if not isinstance(text, str) or not _NAME.fullmatch(text):
                raise errors.invalid(field, text, "must be letters, digits, '-' and '_', first a letter", "change it")
        if self.releases is not None and not (isinstance(self.releases, str) and _LINE.fullmatch(self.releases)):
            raise errors.invalid(
                "releases", self.releases, "must be one line of text, up to 200 characters", "change it"
            )
        if self.name == APPROVAL:
            raise errors.invalid("name", self.name, "stands for the approval of a run", "choose another name")
        if self.share is None:
            return
        if isinstance(self.mechanism, Event):
            raise errors.invalid("share", self.share, "is given to an event, whose cost is fixed", "remove the share")
        numbers.require_number("share", self.share, least=1e-9, most=1)

    @property
    def is_free(self) -> bool:
        """Whether its noise depends on what the other steps leave."""
        return self.share is None and not isinstance(self.mechanism, Event)


@dataclass(frozen=True, slots=True)
class Plan:
    """The mechanisms of a whole run.

    Args:
        steps: in the order in which they run.
        disjoint: parts of the privacy units that no unit has in common. Steps on different ones compose in parallel,
            and all others in sequence.

    Raises:
        InvalidInput: there is no step, a name is given twice, a part is not declared disjoint or is that of no step, or
            the shares of steps that compose in sequence leave nothing.
    """

    steps: tuple[PlannedStep, ...]
    disjoint: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise errors.InvalidInput("steps: has no step; name what the run does")
        _require_unique("steps", (step.name for step in self.steps))
        _require_unique("disjoint", self.disjoint)
        if ALL in self.disjoint:
            raise errors.invalid("disjoint", ALL, "has the units of every part", "remove it")
        for step in self.steps:
            if step.part not in (ALL, *self.disjoint):
                bound = f"of step {step.name} is not declared disjoint"
                raise errors.invalid("part", step.part, bound, "list it under disjoint, or write part: all")
        for part in self.disjoint:
            if part not in {step.part for step in self.steps}:
                raise errors.invalid("disjoint", part, "is the part of no step", "remove it or correct its name")
        for part in self.parts:
            _require_shares(self.sequence(part), part)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that compose in parallel: the disjoint ones, or that of all units if there are none."""
        return self.disjoint or (ALL,)

    def sequence(self, part: str) -> tuple[PlannedStep, ...]:
        """Return the steps that run on the units of `part`, which compose in sequence."""
        return tuple(step for step in self.steps if step.part in (ALL, part))


def _require_unique(name: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise errors.invalid(name, value, "is given twice", "give each its own name")
        seen.add(value)


def _require_shares(sequence: tuple[PlannedStep, ...], part: str) -> None:
    """Refuse shares that leave nothing for the free steps that compose with them, or are more than the whole."""
    shares = math.fsum(step.share for step in sequence if step.share is not None)
    free = [step.name for step in sequence if step.is_free]
    if shares > 1 + rounding.RELATIVE_TOLERANCE:
        raise errors.invalid("share", shares, f"is the sum on part {part}, above 1", "lower the shares")
    if free and shares > 1 - rounding.RELATIVE_TOLERANCE:
        raise errors.invalid("share", shares, f"on part {part} leaves nothing for {free[0]}", "lower the shares")
