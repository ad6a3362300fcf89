"""Find the noise of all steps of a plan jointly, so that they fit one (epsilon, delta) together.

    solved = solve(plan, epsilon=1.0, delta=1e-9, max_contribution=1)
    solved.steps[0].name, solved.steps[0].parameters, solved.steps[0].event

1. A step with a share gets the least noise at which it alone is (share x epsilon, share x delta)-DP, or
   (share x epsilon)-DP if it is a mechanism without a delta. The shares of a sequence are 1 at most, so that such steps
   fit together by basic composition.
2. The free steps on all units, and those of the part whose free step comes first, lead: all get the same noise in units
   of their sensitivities, the least with which each sequence that has one fits the target by PLD.
3. The free steps of another part follow: all of one part get the least noise with which its sequence fits the target,
   and costs no more than the leading part at any Renyi order, so that they raise the price of the run nowhere.

Joint planning with PLD leaves more for the free steps than splitting epsilon by fractions. Neighbouring data sets
differ by adding or removing one privacy unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from privatekube import errors
from privatekube.privacy import accounting, bisection, calibration, events, numbers, rounding
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.events import DpEvent
from privatekube.privacy.plan import ALL, Plan, PlannedStep
from privatekube.privacy.planned_mechanisms import Mechanism, SelectFromMany
from privatekube.privacy.sensitivity import Sensitivity

_HALVINGS = 30
_MARGIN = 1e-6  # of epsilon, so that the same accounting on another machine's floats still fits
_MARGIN_OF_SHARE = 2e-3  # likewise, and for the grid of the privacy losses of the whole sequence
_FIXED = 1.0  # the noise that is passed to an event, which ignores it


@dataclass(frozen=True, slots=True)
class SolvedStep:
    """A step with its noise.

    Args:
        name: of the step.
        part: the units that it runs on.
        mechanism: the name of what it runs, as in `planned_mechanisms.MECHANISMS`.
        parameters: what the step must know to run it, by name; see the mechanism's method of that name.
        event: the DpEvent of what runs.
        sensitivity: as the plan states it; None where it states none. That in `parameters` is of a unit.
        trial_sensitivities: likewise, of each mechanism of a trial; none where the step has no trials.
        releases: what the step releases, in words; None if the plan does not say.
    """

    name: str
    part: str
    mechanism: str
    parameters: Mapping[str, Any]
    event: DpEvent
    sensitivity: Sensitivity | None = None
    trial_sensitivities: tuple[Sensitivity | None, ...] = ()
    releases: str | None = None


@dataclass(frozen=True, slots=True)
class SolvedPlan:
    """The plan of a run with the noise of each step.

    Args:
        steps: in the order in which they run.
        disjoint: the parts of the units that compose in parallel.
    """

    steps: tuple[SolvedStep, ...]
    disjoint: tuple[str, ...] = ()

    @property
    def composition(self) -> accounting.Composition:
        """The composition of the whole run."""
        return accounting.Composition(self._events(ALL), tuple(map(self._events, self.disjoint)))

    def step(self, name: str) -> SolvedStep:
        """Return the step of that name.

        Raises:
            InvalidInput: the plan has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(step.name for step in self.steps)
        raise errors.invalid("step", name, f"is not in the plan, which has {known}", "use one of them")

    def _events(self, part: str) -> tuple[DpEvent, ...]:
        return tuple(step.event for step in self.steps if step.part == part)


def solve(plan: Plan, *, epsilon: float, delta: float, max_contribution: int = 1) -> SolvedPlan:
    """Return the plan with the noise of each step, under which the whole run is (`epsilon`, `delta`)-DP.

    Args:
        plan: the mechanisms of the run.
        epsilon: the target of the whole run.
        delta: likewise.
        max_contribution: how many records a privacy unit has at most.

    Raises:
        InvalidInput: a number is out of range, or no noise meets the target.
    """
    numbers.require_number("epsilon", epsilon, least=1e-12, most=1e6)
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of units")
    numbers.require_count("max_contribution", max_contribution, most=2**53)
    target = EpsilonDelta(epsilon, delta)
    steps = tuple(replace(step, mechanism=step.mechanism.per_unit(max_contribution)) for step in plan.steps)
    planned = Plan(steps, plan.disjoint)
    noise = {step.name: _noise_of_share(step, target) for step in steps if not step.is_free}
    noise |= _leading_noise(planned, noise, target)
    for part in planned.disjoint:
        if part != _leading_part(planned):
            noise |= _following_noise(planned, part, noise, target)
    _require_fit(planned, noise, target)
    solved = (_solved(step, noise[step.name], stated) for step, stated in zip(steps, plan.steps, strict=True))
    return SolvedPlan(tuple(solved), plan.disjoint)


def _solved(step: PlannedStep, noise: float, stated: PlannedStep) -> SolvedStep:
    """Return a step, whose sensitivity is that of a unit, with its noise; `stated` is the step as it was planned."""
    runs = step.mechanism
    return SolvedStep(
        name=step.name,
        part=step.part,
        mechanism=runs.kind,
        parameters=runs.parameters(noise),
        event=runs.event(noise),
        sensitivity=stated.mechanism.stated,
        trial_sensitivities=_of_trials(stated.mechanism),
        releases=step.releases,
    )


def _of_trials(planned: Mechanism) -> tuple[Sensitivity | None, ...]:
    """Return the stated sensitivity of each mechanism of a trial; none for a mechanism without trials."""
    trial = planned.trial if isinstance(planned, SelectFromMany) else ()
    return tuple(mechanism.stated for mechanism in trial)


def _noise_of_share(step: PlannedStep, target: EpsilonDelta) -> float:
    """Return the noise of a step that has a share; an event has its own."""
    if step.share is None:
        return _FIXED
    pure = step.mechanism.pure_noise(step.share * target.epsilon)
    if pure is not None:
        return pure
    epsilon, delta = step.share * target.epsilon * (1 - _MARGIN_OF_SHARE), step.share * target.delta
    return calibration.noise_multiplier(step.mechanism.event, target_epsilon=epsilon, delta=delta)


def _leading_part(plan: Plan) -> str | None:
    """Return the first disjoint part that has a free step."""
    return next((step.part for step in plan.steps if step.is_free and step.part != ALL), None)


def _leading_noise(plan: Plan, noise: Mapping[str, float], target: EpsilonDelta) -> dict[str, float]:
    """Return the noise of the free steps on all units and on the leading part."""
    leading = [step for step in plan.steps if step.is_free and step.part in (ALL, _leading_part(plan))]
    parts = [part for part in plan.parts if any(step in leading for step in plan.sequence(part))]
    least = max((_least_noise(plan, part, leading, noise, target) for part in parts), default=_FIXED)
    return {step.name: least for step in leading}


def _following_noise(plan: Plan, part: str, noise: Mapping[str, float], target: EpsilonDelta) -> dict[str, float]:
    """Return the noise of the free steps on a part that does not lead."""
    free = [step for step in plan.steps if step.is_free and step.part == part]
    if not free:
        return {}
    leading = [_event(step, noise) for step in plan.steps if step.part == _leading_part(plan)]
    fixed = [_event(step, noise) for step in plan.steps if step.part == part and not step.is_free]
    bound = accounting.renyi_cost(events.composition(*leading))

    def fits(strength: float) -> bool:
        ran = events.composition(*fixed, *(step.mechanism.event(1 / strength) for step in free))
        cost = accounting.renyi_cost(ran, bound.orders)
        return all(value <= most for value, most in zip(cost.values, bound.values, strict=True))

    most = 1 / _noise_alone(plan, part, free, noise, target)
    strength = most if fits(most) else bisection.largest_number(fits, below=most, halvings=_HALVINGS)
    if strength == 0:
        raise errors.InvalidInput(
            f"step {free[0].name}: the other steps on part {part} cost more than part {_leading_part(plan)} at some "
            "Renyi order; give it a share"
        )
    return {step.name: 1 / strength for step in free}


def _noise_alone(
    plan: Plan, part: str, free: Sequence[PlannedStep], noise: Mapping[str, float], target: EpsilonDelta
) -> float:
    """Return the noise with which the sequence of a part that does not lead fits the target.

    Where all is pure DP or has a share, basic composition tells, without the privacy loss distribution.
    """
    others = [step for step in plan.sequence(part) if step not in free]
    left = target.epsilon * (1 - math.fsum(step.share or 0.0 for step in others))
    pure = [step.mechanism.pure_noise(left) for step in free]
    if all(step.share is not None for step in others):
        known = [value for value in pure if value is not None]
        if len(known) == len(pure):
            return math.fsum(known)
    return _least_noise(plan, part, free, noise, target)


def _least_noise(
    plan: Plan, part: str, free: Sequence[PlannedStep], noise: Mapping[str, float], target: EpsilonDelta
) -> float:
    """Return the least noise of `free` with which the steps on a part fit the target; others than these are known."""
    sequence = [step for step in plan.sequence(part) if step in free or step.name in noise]

    def made(value: float) -> DpEvent:
        return events.composition(
            *(step.mechanism.event(value) if step in free else _event(step, noise) for step in sequence)
        )

    return calibration.noise_multiplier(made, target_epsilon=target.epsilon * (1 - _MARGIN), delta=target.delta)


def _event(step: PlannedStep, noise: Mapping[str, float]) -> DpEvent:
    return step.mechanism.event(noise[step.name])


def _require_fit(plan: Plan, noise: Mapping[str, float], target: EpsilonDelta) -> None:
    """Check the sequences without a free step, whose cost is fixed."""
    for part in plan.parts:
        sequence = plan.sequence(part)
        if any(step.is_free for step in sequence):
            continue
        cost = accounting.epsilon(events.composition(*(_event(step, noise) for step in sequence)), target.delta)
        if cost > target.epsilon * (1 + rounding.RELATIVE_TOLERANCE):
            bound = f"is below {cost:.6g}, which the fixed steps on part {part} cost"
            raise errors.invalid("epsilon", target.epsilon, bound, "raise it, or leave a step out")
