"""Conversions between Renyi and (epsilon, delta)-DP at one order that is fixed beforehand, and PrivateKube's older one.

A mechanism of Renyi epsilon rho at order alpha is (epsilon, delta)-DP with

    log(delta) = (alpha - 1) (rho - epsilon + log(1 - 1/alpha)) - log(alpha).

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), arXiv:2004.00010,
Proposition 12. It improves on Mironov (2017), Proposition 3, which lacks the terms in alpha alone. The proof uses the
moment E[exp((alpha - 1) L)] of the privacy loss L only, so that it holds for any L whose moment is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.privacy.orders import INFINITE_ORDER


def epsilon(renyi_epsilon: float, *, order: float, delta: float) -> float:
    """Return the smallest epsilon that the formula gives for `delta`; 0 at least.

    >>> round(epsilon(0.5, order=8, delta=1e-5), 4)
    1.7141
    """
    return max(0.0, renyi_epsilon + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1))


def renyi_epsilon(epsilon: float, *, order: float, delta: float) -> float:
    """Return the largest Renyi epsilon that the formula allows; negative where even 0 would be too much.

    >>> round(renyi_epsilon(1.7141, order=8, delta=1e-5), 3)
    0.5
    """
    return epsilon - math.log1p(-1 / order) + (math.log(delta) + math.log(order)) / (order - 1)


def delta(renyi_epsilon: float, *, order: float, epsilon: float) -> float:
    """Return the smallest delta that the formula gives for `epsilon`; 1 at most.

    >>> delta(0.5, order=8, epsilon=1.7142) < 1e-5
    True
    """
    log_delta = (order - 1) * (renyi_epsilon - epsilon + math.log1p(-1 / order)) - math.log(order)
    return math.exp(min(0.0, log_delta))


def to_renyi(lifetime: EpsilonDelta, orders: Iterable[float] = budget.STANDARD_ORDERS) -> RenyiCurve:
    """Return PrivateKube's Renyi form of an (epsilon, delta) budget: max(0, epsilon + ln(delta) / (alpha - 1)).

    Kept for blocks that PrivateKube's tools declare, which have these numbers: Mironov (2017), Prop. 3, at one order
    that is fixed beforehand; epsilon at the infinite order. `renyi_filter.capacity` gives the budget of a block that
    grants at any order, and `renyi_filter.guarantee` tells what these numbers mean on such a block.

    Args:
        lifetime: the guarantee for the data.
        orders: the orders of the curve.

    Raises:
        InvalidBudget: delta is not in (0, 1), or `orders` are not valid.

    >>> to_renyi(EpsilonDelta(5, 1e-4), (4, 1e6)).epsilons[1]
    5.0
    """
    if not 0 < lifetime.delta < 1:
        raise errors.InvalidBudget(
            f"delta: {lifetime.delta!r} must lie in (0, 1) for a Renyi curve; set it below one over the number of units"
        )
    return RenyiCurve.from_pairs((alpha, _mironov_epsilon(lifetime, alpha)) for alpha in orders)


def _mironov_epsilon(lifetime: EpsilonDelta, alpha: float) -> float:
    if alpha >= INFINITE_ORDER:
        return lifetime.epsilon
    return max(0.0, lifetime.epsilon + math.log(lifetime.delta) / (alpha - 1))
