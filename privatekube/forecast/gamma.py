"""Quantiles of the gamma distribution, without a library: the page and the command need these few only."""

from __future__ import annotations

import functools
import math

_HALVINGS = 60
_PRECISION = 1e-12


@functools.lru_cache(maxsize=4096)
def quantile(probability: float, shape: float) -> float:
    """Return the quantile of a gamma distribution with scale 1; that of shape 0 is 0.

    >>> round(quantile(0.975, 1.0), 4), round(quantile(0.5, 10.0), 4), quantile(0.975, 0.0)
    (3.6889, 9.6687, 0.0)
    """
    if shape <= 0:
        return 0.0
    low, high = 0.0, shape + 10 * math.sqrt(shape) + 10
    while _cumulative(high, shape) < probability:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _cumulative(middle, shape) < probability else (low, middle)
    return high


def _cumulative(x: float, shape: float) -> float:
    """Return the probability of a value up to x.

    The series of Abramowitz and Stegun, 6.5.29, which converges for every x: its terms fall once they pass x - shape.
    """
    if x <= 0:
        return 0.0
    term = total = 1 / shape
    divisor = shape
    while term > total * _PRECISION:
        divisor += 1
        term *= x / divisor
        total += term
    return min(1.0, total * math.exp(shape * math.log(x) - x - math.lgamma(shape)))
