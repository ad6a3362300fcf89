"""How a run pays for its mechanisms: by a plan that was made before, or by what each states when it is called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from privatekube import errors
from privatekube.integrations import dp_accounting
from privatekube.interactive import amounts
from privatekube.privacy import adaptive, calibration, events
from privatekube.privacy.adaptive import Allowance
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.events import DpEvent
from privatekube.privacy.plan import ALL
from privatekube.privacy.solving import SolvedPlan, SolvedStep

DISCRETE_LAPLACE, LAPLACE, GAUSSIAN, EXPONENTIAL = "discrete_laplace", "laplace", "gaussian", "exponential"
"""The mechanisms of `run.Run`, as `planned_mechanisms.MECHANISMS` names them."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a mechanism is asked.

    Args:
        step: name of the release.
        mechanism: which one.
        sensitivity: how far one privacy unit moves the values at most: in L2 for Gaussian noise, of a single score for
            a choice, else in L1.
        epsilon: what the caller says it costs; None if the caller does not.
        delta: likewise.
    """

    step: str
    mechanism: str
    sensitivity: float
    epsilon: float | None = None
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """A mechanism as it is paid.

    Args:
        step: name of the release.
        part: the units that it runs on.
        event: the mechanism.
        delta: at which it costs its epsilon where it was chosen after others; 0 for a pure one.
    """

    step: str
    part: str
    event: DpEvent
    delta: float


class Payment(Protocol):
    """How a run pays; `Planned` and `Chosen` are the two ways.

    Example::

        noise, charge = payment.noise(Query("statistics", DISCRETE_LAPLACE, sensitivity=1, epsilon=0.5))
        payment.require_room(charge, charged)  # before it is drawn
    """

    @property
    def price(self) -> PrivacyBudget:
        """What a block must grant."""

    def noise(self, query: Query) -> tuple[float, Charge]:
        """Return the scale of the noise for a query, and its charge; InvalidInput if they cannot be known."""

    def charge(self, step: str, event: DpEvent, delta: float) -> Charge:
        """Return the charge of a mechanism that ran elsewhere; InvalidInput if it is not what was planned."""

    def require_room(self, charge: Charge, charged: Sequence[Charge]) -> None:
        """Check that a charge can be paid beside those before; BudgetExceeded if not."""

    def epsilon(self, charged: Sequence[Charge]) -> float:
        """Return what all charges cost together, at the delta of the run."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Mechanisms that are chosen one after the other; see `privacy.adaptive`."""

    allowance: Allowance

    @property
    def price(self) -> PrivacyBudget:
        """What a block must grant."""
        return self.allowance.price

    def noise(self, query: Query) -> tuple[float, Charge]:
        """Return the scale of the noise that costs the stated epsilon and delta, and its charge."""
        epsilon = amounts.positive("epsilon", query.epsilon)
        if query.mechanism == GAUSSIAN:
            delta = amounts.positive("delta", query.delta)
            noise = calibration.noise_multiplier(events.gaussian, target_epsilon=epsilon, delta=delta)
            return noise * query.sensitivity, Charge(query.step, ALL, events.gaussian(noise), delta)
        if query.mechanism == EXPONENTIAL:
            return 2 * query.sensitivity / epsilon, Charge(query.step, ALL, events.pure(epsilon), 0.0)
        scale = query.sensitivity / epsilon
        if query.mechanism == LAPLACE:
            return scale, Charge(query.step, ALL, events.laplace(1 / epsilon), 0.0)
        return scale, Charge(query.step, ALL, events.discrete_laplace(scale, int(query.sensitivity)), 0.0)

    def charge(self, step: str, event: DpEvent, delta: float) -> Charge:
        """Return the charge of a mechanism that ran elsewhere."""
        return Charge(step, ALL, dp_accounting.known(event), delta)

    def require_room(self, charge: Charge, charged: Sequence[Charge]) -> None:
        """Check that the sums of epsilons and deltas stay within the claim."""
        self.allowance.require_room(charge.step, [_cost(item) for item in (*charged, charge)])

    def epsilon(self, charged: Sequence[Charge]) -> float:
        """Return the sum of the epsilons."""
        return math.fsum(_cost(item).epsilon for item in charged)


@dataclass(frozen=True, slots=True)
class Planned:
    """Mechanisms that were planned before the claim: their noise is known, and their cost accounted for jointly.

    Args:
        plan: the steps with their noise.
        price: what a block must grant.
        delta: of the run.
    """

    plan: SolvedPlan
    price: PrivacyBudget
    delta: float

    def noise(self, query: Query) -> tuple[float, Charge]:
        """Return the planned scale of a step, which must run this mechanism at this sensitivity, and its charge."""
        step = self.plan.step(query.step)
        for name, value in (("epsilon", query.epsilon), ("delta", query.delta)):
            if value is not None:
                raise errors.invalid(name, value, f"is stated by the plan for step {step.name}", "leave it out")
        if step.mechanism != query.mechanism:
            bound = f"runs {step.mechanism} in the plan, not {query.mechanism}"
            raise errors.invalid("step", step.name, bound, "call what was planned")
        _require_one_query(step, query.sensitivity)
        return step.parameters["scale"], Charge(step.name, step.part, step.event, 0.0)

    def charge(self, step: str, event: DpEvent, delta: float) -> Charge:  # noqa: ARG002 - the plan has one for all
        """Return the charge of a step that ran what was planned, or a part of it."""
        planned = self.plan.step(step)
        return Charge(step, planned.part, dp_accounting.spent(event, planned=planned.event), 0.0)

    def require_room(self, charge: Charge, charged: Sequence[Charge]) -> None:
        """Check nothing: each step of the plan is paid, and releases once."""

    def epsilon(self, charged: Sequence[Charge]) -> float:
        """Return the epsilon of the whole plan; 0 if nothing of it ran.

        Which steps run, and how far, may depend on earlier results: then the joint accounting holds for the plan, and
        not for the part of it that ran. Source: Rogers et al., "Privacy Odometers and Filters" (2016), section 1.
        """
        return self.plan.composition.epsilon(self.delta) if charged else 0.0


def _cost(charge: Charge) -> EpsilonDelta:
    return adaptive.cost(charge.event, delta=charge.delta)


def _require_one_query(step: SolvedStep, sensitivity: float) -> None:
    """Check that a step answers one query of that sensitivity."""
    if step.parameters["queries"] != 1:
        bound = f"answers {step.parameters['queries']} queries in the plan"
        raise errors.invalid("step", step.name, bound, "plan a step for each, or register it with spend()")
    planned = step.parameters["sensitivity"]
    if not math.isclose(sensitivity, planned, rel_tol=1e-9):
        bound = f"of a unit is not the {planned:g} that is planned for step {step.name}"
        raise errors.invalid("sensitivity", sensitivity, bound, "plan this one with `per: unit`, or change the query")
