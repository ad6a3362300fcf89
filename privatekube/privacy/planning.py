"""Plan the mechanisms of a whole run jointly, so that they fit one (epsilon, delta) together.

Statistics run over all units; training and evaluation run on disjoint parts of them (split per user), so they compose
in parallel with each other and in sequence with the statistics. Planning with PLD leaves more for training than
splitting epsilon by fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import accounting, bisection, budget, calibration, events
from privatekube.privacy.events import DpEvent

_HALVINGS = 30
_MARGIN = 1e-6  # of epsilon, so that the same accounting on another machine's floats still fits


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The noise of every step of a run.

    Args:
        statistics_scale: discrete Laplace scale of the statistics.
        noise_multiplier: DP-SGD's noise, in units of the clipping norm.
        sampling_rate: Poisson sampling rate of the training units, public.
        steps: noisy steps, fixed in advance.
        evaluation_scale: discrete Laplace scale of the evaluation's counts.
        sensitivity: how many records a unit contributes at most; the L1 sensitivity of counts.
    """

    statistics_scale: float
    noise_multiplier: float
    sampling_rate: float
    steps: int
    evaluation_scale: float
    sensitivity: int

    @property
    def statistics(self) -> DpEvent:
        """The event of the statistics."""
        return events.discrete_laplace(self.statistics_scale, self.sensitivity)

    @property
    def training(self) -> DpEvent:
        """The event of training, on the units of the training part."""
        return events.poisson_gaussian(self.sampling_rate, self.noise_multiplier, self.steps)

    @property
    def evaluation(self) -> DpEvent:
        """The event of evaluation, on the units of the test part."""
        return events.discrete_laplace(self.evaluation_scale, self.sensitivity)

    @property
    def events(self) -> tuple[DpEvent, DpEvent, DpEvent]:
        """The events of the statistics, of training and of evaluation."""
        return self.statistics, self.training, self.evaluation

    @property
    def composition(self) -> accounting.Composition:
        """The composition of the whole run."""
        return accounting.Composition((self.statistics,), ((self.training,), (self.evaluation,)))


def plan_run(
    *, epsilon: float, delta: float, statistics_fraction: float, sampling_rate: float, steps: int, sensitivity: int
) -> RunPlan:
    """Return a plan under which statistics, training and evaluation together are (`epsilon`, `delta`)-DP.

    Statistics get `statistics_fraction` of epsilon as pure DP, and training the smallest noise that fits beside them.
    Evaluation runs on other units than training, with the least noise that does not raise the cost of the run at any
    Renyi order. Neighbouring data sets differ by adding or removing one privacy unit.

    Args:
        epsilon: the target of the whole run.
        delta: likewise.
        statistics_fraction: the fraction of epsilon for the statistics, in (0, 1).
        sampling_rate: Poisson sampling rate of the training units.
        steps: noisy steps, fixed in advance.
        sensitivity: how many records a unit contributes at most: the L1 sensitivity of counts.

    Raises:
        InvalidInput: a number is out of range, or no noise meets the target.
    """
    if not 0 < epsilon < math.inf:
        raise errors.invalid("epsilon", epsilon, "must be positive", "ask for the budget the run may use")
    if not 0 < statistics_fraction < 1:
        raise errors.invalid("statistics_fraction", statistics_fraction, "must lie in (0, 1)", "0.05 is a good start")
    statistics_scale = sensitivity / (statistics_fraction * epsilon)
    statistics = events.discrete_laplace(statistics_scale, sensitivity)
    noise_multiplier = calibration.noise_multiplier(
        lambda noise: events.composition(statistics, events.poisson_gaussian(sampling_rate, noise, steps)),
        target_epsilon=epsilon * (1 - _MARGIN),
        delta=delta,
    )
    training = accounting.renyi_cost(events.poisson_gaussian(sampling_rate, noise_multiplier, steps))
    evaluation_epsilon = _free_epsilon(training, (1 - statistics_fraction) * epsilon, sensitivity)
    return RunPlan(
        statistics_scale=statistics_scale,
        noise_multiplier=noise_multiplier,
        sampling_rate=sampling_rate,
        steps=steps,
        evaluation_scale=sensitivity / evaluation_epsilon,
        sensitivity=sensitivity,
    )


def _free_epsilon(training: budget.RenyiCurve, most: float, sensitivity: int) -> float:
    """Return the largest pure epsilon, up to `most`, whose Renyi curve is at most that of training at every order."""

    def fits(epsilon: float) -> bool:
        event = events.discrete_laplace(sensitivity / epsilon, sensitivity)
        cost = accounting.renyi_cost(event, training.orders)
        return all(value <= bound for value, bound in zip(cost.values, training.values, strict=True))

    if fits(most):
        return most
    return bisection.largest_number(fits, below=most, halvings=_HALVINGS)
