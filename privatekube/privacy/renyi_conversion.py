"""Conversions between Renyi and (epsilon, delta)-DP at one order that is fixed beforehand.

A mechanism of Renyi epsilon rho at order alpha is (epsilon, delta)-DP with

    log(delta) = (alpha - 1) (rho - epsilon + log(1 - 1/alpha)) - log(alpha).

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), arXiv:2004.00010,
Proposition 12. It improves on Mironov (2017), Proposition 3, which lacks the terms in alpha alone. The proof uses the
moment E[exp((alpha - 1) L)] of the privacy loss L only, so that it holds for any L whose moment is bounded.
"""

from __future__ import annotations

import math


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
