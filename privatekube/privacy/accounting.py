"""The privacy cost of DpEvents: Renyi curves, and epsilons as the smallest of all bounds that are known.

Neighbouring relation throughout: add or remove one privacy unit. Enforcement adds Renyi curves or (epsilon, delta)
pairs, which are sound as filters under adaptive choice (see `renyi_filter`). The epsilon of a fixed plan or report is
the smallest of three bounds: the sum of pure epsilons, the best order of the exact Renyi curve, and the privacy loss
distribution (PLD), which is the tightest where its floating-point arithmetic resolves delta. Gaussian-DP and
central-limit estimates are not used, because they underestimate the cost.

Sources: Mironov (2017) and `renyi_conversion` for Renyi; Doroshenko et al., "Connect the Dots" (2022) for PLD.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from dp_accounting import dp_event as dp_events
from dp_accounting.pld import pld_privacy_accountant
from scipy import optimize

from privatekube import errors
from privatekube.privacy import budget, events, renyi_conversion, renyi_divergence, renyi_selection
from privatekube.privacy.events import DpEvent
from privatekube.privacy.orders import INFINITE_ORDER

_LOG_ORDERS = (math.log(0.01), math.log(1e9))  # of the order minus 1, between which the best one is searched
_ORDER_TOLERANCE = 1e-3
_FEWEST_INTERVALS, _MOST_INTERVALS = 5_000.0, 20_000.0
_INTERVALS_PER_ROOT = 100.0
_MOST_LOSSES = 20_000.0
_COARSE = 0.25  # of the fast bound: a PLD further below it has too coarse a grid
_SUM_ERROR = 2 * float(np.finfo(float).eps)  # of delta for each step that a Fourier transform composes
_OTHER_SUMS = 100
_LARGEST_SUM_ERROR = 0.1  # of delta, up to which a PLD is used
_WITHOUT_PLD = (dp_events.ZCDpEvent, dp_events.RepeatAndSelectDpEvent)  # only their Renyi curves are known
_DEVIATIONS = 10.0  # exp(-50) of a Gaussian lies beyond, which is where dp_accounting truncates it


@dataclass(frozen=True, slots=True)
class Composition:
    """Mechanisms over all the data, followed by mechanisms on disjoint parts of its units.

    A unit lies in one part only, so the parts cost the largest of them (parallel composition), on top of `whole`.

    Args:
        whole: what ran on all units.
        parts: what ran on each of the disjoint parts.
    """

    whole: tuple[DpEvent, ...]
    parts: tuple[tuple[DpEvent, ...], ...] = ()

    def renyi(self, orders: tuple[float, ...] = budget.STANDARD_ORDERS) -> budget.RenyiCurve:
        """Return the cost as a Renyi curve at `orders`."""
        curve = renyi_cost(events.composition(*self.whole), orders)
        costs = [renyi_cost(events.composition(*part), orders) for part in self.parts]
        return curve + functools.reduce(budget.RenyiCurve.maximum, costs) if costs else curve

    def epsilon(self, delta: float) -> float:
        """Return an epsilon for which the composition is (epsilon, `delta`)-DP; see `epsilon`.

        Raises:
            InvalidInput: delta is not in (0, 1), or an event is unknown.
        """
        return max(epsilon(events.composition(*chain), delta) for chain in self._chains())

    def pure_epsilon(self) -> float:
        """Return an epsilon for which the composition is epsilon-DP, without a delta; see `pure_epsilon`.

        Raises:
            InvalidInput: a mechanism is not pure.
        """
        return max(pure_epsilon(events.composition(*chain)) for chain in self._chains())

    def _chains(self) -> list[tuple[DpEvent, ...]]:
        """Return what ran in sequence on the units of each part."""
        return [(*self.whole, *part) for part in self.parts] or [self.whole]


def renyi_cost(event: DpEvent, orders: tuple[float, ...] = budget.STANDARD_ORDERS) -> budget.RenyiCurve:
    """Return the Renyi curve of `event` at `orders`, exact for the mechanisms of this library at every finite order.

    Args:
        event: the mechanisms; subsampled ones must draw Poisson samples.
        orders: the Renyi orders, each above 1; they need not be integers.

    Raises:
        InvalidInput: the Renyi curve of an event is not known.
    """
    leaves = list(_leaves(event))
    return budget.RenyiCurve(orders, tuple(_renyi_at(leaves, order) for order in orders))


def epsilon(event: DpEvent, delta: float) -> float:
    """Return an epsilon for which `event` is (epsilon, `delta`)-DP: the smallest of all bounds known.

    Resolution: the PLD has losses on a grid of 1/5,000 to 1/20,000 of epsilon, finer for more steps, and rounds up. It
    is asked for delta less the error of its floating-point sums: 4.4e-16 per step, and for a hundred steps more (the
    standard deviation that was measured is a tenth of that). Where this is more than a tenth of delta, the Renyi bound
    answers. The result is above the exact epsilon by 0.1 % where delta is far above that error.

    Args:
        event: mechanisms that were fixed without looking at the data.
        delta: in (0, 1).

    Raises:
        InvalidInput: delta is not in (0, 1), or the event is unknown.
    """
    bound = epsilon_without_pld(event, delta)
    leaves = list(_leaves(event))
    n_steps = sum(count for _, count in leaves)
    sum_error = _SUM_ERROR * (n_steps + _OTHER_SUMS)
    if (
        bound == 0
        or sum_error > _LARGEST_SUM_ERROR * delta
        or any(isinstance(leaf, _WITHOUT_PLD) for leaf, _ in leaves)
    ):
        return bound
    intervals = min(max(_FEWEST_INTERVALS, _INTERVALS_PER_ROOT * math.sqrt(n_steps)), _MOST_INTERVALS)
    finest = max(_loss_range(leaf, count) for leaf, count in leaves) / _MOST_LOSSES
    numeric = _pld_epsilon(event, delta - sum_error, max(bound / intervals, finest))
    if finest * intervals < numeric < _COARSE * bound:
        numeric = _pld_epsilon(event, delta - sum_error, numeric / intervals)
    return min(numeric, bound)


def epsilon_without_pld(event: DpEvent, delta: float) -> float:
    """Return the smaller of the Renyi and the pure epsilon of `event` at `delta`: fast, and above `epsilon` by little.

    The conversion at the best order is quasi-convex in the order, since (order - 1) times the divergence is convex.

    Raises:
        InvalidInput: see `epsilon`.
    """
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of units")
    leaves = list(_leaves(event))

    def converted(log_order: float) -> float:
        order = 1 + math.exp(log_order)
        return renyi_conversion.epsilon(_renyi_at(leaves, order), order=order, delta=delta)

    best = optimize.minimize_scalar(
        converted, bounds=_LOG_ORDERS, method="bounded", options={"xatol": _ORDER_TOLERANCE}
    )
    return min(float(best.fun), _sum_of_pure_epsilons(leaves))


def pure_epsilon(event: DpEvent) -> float:
    """Return the epsilon of pure mechanisms: the sum of theirs, which also holds if each was chosen after the others.

    Raises:
        InvalidInput: a mechanism is not pure, so that it needs a delta.

    >>> pure_epsilon(events.discrete_laplace(2.0, 1))
    0.5
    """
    total = _sum_of_pure_epsilons(list(_leaves(event)))
    if total == math.inf:
        raise errors.invalid("delta", 0, "is only for pure mechanisms", "give the delta of this one")
    return total


def is_pure(event: DpEvent) -> bool:
    """Whether an event is of pure mechanisms alone, which need no delta.

    >>> is_pure(events.laplace(1.0)), is_pure(events.gaussian(1.0))
    (True, False)
    """
    return _sum_of_pure_epsilons(list(_leaves(event))) < math.inf


def _sum_of_pure_epsilons(leaves: list[tuple[DpEvent, int]]) -> float:
    return math.fsum(_pure_epsilon(leaf) * count for leaf, count in leaves)


def _pld_epsilon(event: DpEvent, delta: float, interval: float) -> float:
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=interval)
    accountant.compose(event)
    return float(accountant.get_epsilon(delta))


def _leaves(event: DpEvent, count: int = 1) -> Iterator[tuple[DpEvent, int]]:
    """Yield the mechanisms of a composition, each with the number of its runs."""
    match event:
        case dp_events.ComposedDpEvent():
            for part in event.events:
                yield from _leaves(part, count)
        case dp_events.SelfComposedDpEvent():
            yield from _leaves(event.event, count * event.count)
        case _:
            yield event, count


def _renyi_at(leaves: list[tuple[DpEvent, int]], order: float) -> float:
    return math.fsum(count * _leaf_renyi_at(leaf, order) for leaf, count in leaves)


def _leaf_renyi_at(leaf: DpEvent, order: float) -> float:
    """Return the divergence of one mechanism; at the infinite order, a pure mechanism costs its epsilon."""
    match leaf:
        case dp_events.DiscreteLaplaceDpEvent():
            if order == INFINITE_ORDER:
                return _pure_epsilon(leaf)
            return renyi_divergence.discrete_laplace(leaf.noise_parameter, leaf.sensitivity, order)
        case dp_events.GaussianDpEvent():
            return renyi_divergence.gaussian(leaf.noise_multiplier, order)
        case dp_events.PoissonSampledDpEvent(event=dp_events.GaussianDpEvent() as gaussian):
            rate = leaf.sampling_probability
            if rate == 1:
                return renyi_divergence.gaussian(gaussian.noise_multiplier, order)
            return renyi_divergence.sampled_gaussian(rate, gaussian.noise_multiplier, order)
    return _other_renyi_at(leaf, order)


def _other_renyi_at(leaf: DpEvent, order: float) -> float:
    match leaf:
        case dp_events.LaplaceDpEvent():
            pure = _pure_epsilon(leaf)
            return pure if order == INFINITE_ORDER else renyi_divergence.laplace(leaf.noise_multiplier, order)
        case dp_events.ZCDpEvent():
            return float(leaf.xi + leaf.rho * order)
        case dp_events.RepeatAndSelectDpEvent():
            trial = list(_leaves(leaf.event))
            return renyi_selection.best_of_trials(
                lambda at: _renyi_at(trial, at), order, mean_trials=leaf.mean, shape=leaf.shape
            )
    raise errors.InvalidInput(f"event: {type(leaf).__name__} has no Renyi curve; use the mechanisms of this project")


def _loss_range(leaf: DpEvent, count: int) -> float:
    """Return how far the privacy losses of a mechanism reach that a PLD has on its grid before it is composed."""
    match leaf:
        case dp_events.PoissonSampledDpEvent(event=gaussian):
            highest = _gaussian_loss(gaussian.noise_multiplier)
            return float(np.logaddexp(0.0, math.log(leaf.sampling_probability) + highest))
        case dp_events.GaussianDpEvent():
            return 2 * _gaussian_loss(leaf.noise_multiplier / math.sqrt(count))
    return 2 * _pure_epsilon(leaf)


def _gaussian_loss(noise_multiplier: float) -> float:
    return (_DEVIATIONS + 0.5 / noise_multiplier) / noise_multiplier


def _pure_epsilon(leaf: DpEvent) -> float:
    match leaf:
        case dp_events.DiscreteLaplaceDpEvent():
            return float(leaf.noise_parameter * leaf.sensitivity)
        case dp_events.LaplaceDpEvent():
            return float(1 / leaf.noise_multiplier)
    return math.inf
