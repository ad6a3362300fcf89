"""The privacy cost of DpEvents: Renyi curves, epsilons, and the noise that meets a target.

Neighbouring relation throughout: add or remove one privacy unit. Enforcement adds Renyi curves or (epsilon, delta)
pairs, which are sound as filters under adaptive choice; calibration and reports use privacy loss distributions (PLD),
the tightest valid accountant here. Gaussian-DP and central-limit estimates are not used, because they underestimate the
cost.

Sources: Mironov (2017); Mironov, Talwar, Zhang (2019) for the sampled Gaussian; Doroshenko et al. (2022) for PLD.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from dp_accounting import dp_event as dp_events
from dp_accounting import mechanism_calibration
from dp_accounting.pld import pld_privacy_accountant
from dp_accounting.rdp import rdp_privacy_accountant

from privatekube import errors
from privatekube.privacy import budget, events
from privatekube.privacy.events import DpEvent
from privatekube.privacy.orders import INFINITE_ORDER

_NOISE_TOLERANCE = 1e-4
_LARGEST_EXPONENT = 700.0  # of a float
_MOST_NOISE = 1e6
_PLD_GAIN = 1.5
_SEARCH_ORDERS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, 256.0, 512.0)


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
        if not costs:
            return curve
        worst = costs[0]
        for cost in costs[1:]:
            worst = worst.maximum(cost)
        return curve + worst

    def epsilon(self, delta: float) -> float:
        """Return an epsilon for which the composition is (epsilon, `delta`)-DP, by PLD.

        Raises:
            InvalidInput: delta is not in (0, 1), or PLD does not support an event.
        """
        chains = [(*self.whole, *part) for part in self.parts] or [self.whole]
        return max(epsilon(events.composition(*chain), delta) for chain in chains)


def renyi_cost(event: DpEvent, orders: tuple[float, ...] = budget.STANDARD_ORDERS) -> budget.RenyiCurve:
    """Return the Renyi curve of `event` at `orders`.

    Args:
        event: the mechanisms; subsampled ones must draw Poisson samples.
        orders: the Renyi orders, each above 1.

    Raises:
        InvalidInput: the Renyi curve of an event is not known.
    """
    values = np.zeros(len(orders))
    for leaf, count in _leaves(event):
        values += count * np.array([_renyi_at(leaf, order) for order in orders])
    return budget.RenyiCurve(orders, tuple(float(value) for value in values))


def epsilon(event: DpEvent, delta: float) -> float:
    """Return the epsilon of `event` at `delta` by PLD, which rounds up.

    A composition of pure mechanisms costs at most the sum of their epsilons.

    Raises:
        InvalidInput: delta is not in (0, 1), or PLD does not support the event.
    """
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of units")
    leaves = list(_leaves(event))
    accountant = pld_privacy_accountant.PLDAccountant()
    if not accountant.supports(event):
        raise errors.InvalidInput("event: unknown to the PLD accountant; use the mechanisms of this project")
    accountant.compose(event)
    numeric = float(accountant.get_epsilon(delta))
    pure = [_pure_epsilon(leaf) * count for leaf, count in leaves]
    return min(numeric, math.fsum(pure))


def calibrate_noise_multiplier(make: Callable[[float], DpEvent], *, target_epsilon: float, delta: float) -> float:
    """Return the smallest noise multiplier, to about four digits, for which `make(noise_multiplier)` meets the target.

    Args:
        make: returns the composition of all mechanisms for a noise multiplier, which is in units of the clipping norm.
        target_epsilon: the bound on epsilon.
        delta: the bound on delta.

    Raises:
        InvalidInput: even a very large noise multiplier does not reach the target.
    """
    lower, upper = _bracket(make, target_epsilon, delta)
    multiplier = mechanism_calibration.calibrate_dp_mechanism(
        pld_privacy_accountant.PLDAccountant,
        make,
        target_epsilon,
        delta,
        mechanism_calibration.ExplicitBracketInterval(lower, upper),
        tol=_NOISE_TOLERANCE * upper,
    )
    noise = float(multiplier)
    while epsilon(make(noise), delta) > target_epsilon:
        noise *= 1 + _NOISE_TOLERANCE
    return noise


def _bracket(make: Callable[[float], DpEvent], target_epsilon: float, delta: float) -> tuple[float, float]:
    """Return one noise multiplier that is too small and one that suffices, close together: PLD is slow at low noise."""
    upper = _sufficient_noise(make, target_epsilon, delta)
    lower = upper / _PLD_GAIN
    while epsilon(make(lower), delta) <= target_epsilon:
        lower, upper = lower / _PLD_GAIN, lower
    return lower, upper


def _sufficient_noise(make: Callable[[float], DpEvent], target_epsilon: float, delta: float) -> float:
    """Return a noise multiplier that suffices by Renyi accounting, which is fast but less tight than PLD."""
    noise = 0.7
    while noise < _MOST_NOISE:
        curve = renyi_cost(make(noise), _SEARCH_ORDERS)
        if rdp_privacy_accountant.compute_epsilon(curve.orders, curve.values, delta)[0] <= target_epsilon:
            return noise
        noise *= 1.2
    raise errors.InvalidInput(
        f"epsilon: {target_epsilon:.6g} is too small for this plan at any noise; raise epsilon or train fewer steps"
    )


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


def _renyi_at(leaf: DpEvent, order: float) -> float:
    match leaf:
        case dp_events.DiscreteLaplaceDpEvent():
            return _discrete_laplace_renyi(leaf.noise_parameter, leaf.sensitivity, order)
        case dp_events.GaussianDpEvent():
            return float(order / (2 * leaf.noise_multiplier**2))
        case dp_events.PoissonSampledDpEvent(event=dp_events.GaussianDpEvent()):
            return _sampled_gaussian_renyi(leaf, order)
    raise errors.InvalidInput(f"event: {type(leaf).__name__} has no Renyi curve; use the mechanisms of this project")


def _sampled_gaussian_renyi(leaf: DpEvent, order: float) -> float:
    """Return the Renyi epsilon of the Poisson-sampled Gaussian: exact at integer orders, an upper bound between them.

    (order - 1) * D is convex in the order, so its chord between two integers is an upper bound. At the infinite order
    the sum has a million terms; the cost without sampling is an upper bound there, too.
    """
    if order >= INFINITE_ORDER:
        return _renyi_at(leaf.event, order)
    below, above = math.floor(order), math.ceil(order)
    accountant = rdp_privacy_accountant.RdpAccountant([max(below, 2), max(above, 2)])
    accountant.compose(leaf)
    low, high = (float(value) for value in accountant.rdp)
    if below == above or below < 2:
        return high  # Renyi divergence grows with the order
    weight = order - below
    return ((1 - weight) * (below - 1) * low + weight * (above - 1) * high) / (order - 1)


def _discrete_laplace_renyi(rate: float, shift: int, order: float) -> float:
    """Return the Renyi divergence of two discrete Laplace distributions that are `shift` apart.

    The divergence is convex in the shift, so the L1 sensitivity suffices for several counts.

    Summing exp(-rate * (order*|x| + (1-order)*|x-shift|)) over the three ranges of x gives two geometric series.
    """
    if order >= INFINITE_ORDER:
        return rate * shift
    near, far = _geometric(rate), _geometric(rate * (2 * order - 1))
    scale = math.log(math.tanh(rate / 2))
    first = scale + math.log(1 + near + far) + rate * (order - 1) * shift
    second = scale + math.log(near - far) - rate * order * shift if near > far else -math.inf
    return max(0.0, float(np.logaddexp(first, second)) / (order - 1))


def _geometric(rate: float) -> float:
    """Return the sum of exp(-k * rate) over k = 1, 2, ..."""
    return 1 / math.expm1(rate) if rate < _LARGEST_EXPONENT else 0.0


def _pure_epsilon(leaf: DpEvent) -> float:
    if isinstance(leaf, dp_events.DiscreteLaplaceDpEvent):
        return float(leaf.noise_parameter * leaf.sensitivity)
    return math.inf
