"""The Renyi cost of repeated trials of which only the best one is released, such as a hyper-parameter search.

Source: Papernot and Steinke, "Hyperparameter Tuning with Renyi Differential Privacy" (2022), arXiv:2110.03620,
Theorem 2 for a number of trials of truncated negative binomial distribution, and Definition 1 for its mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from privatekube.privacy import bisection
from privatekube.privacy.orders import INFINITE_ORDER

_HELPING_ORDERS = (1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 256, INFINITE_ORDER)
"""The orders among which the second one of the theorem, which is free, is searched."""
_HALVINGS = 60
_ROUNDING = 1e-12


def best_of_trials(trial: Callable[[float], float], order: float, *, mean_trials: float, shape: float) -> float:
    """Return the Renyi epsilon of releasing the best of a random number of trials.

    The cost does not fall with the order, so that the bound of a higher order holds at a lower one too.

    Args:
        trial: returns the Renyi epsilon of one trial at an order.
        order: the Renyi order, above 1.
        mean_trials: the mean number of trials, at least 1.
        shape: of their distribution; 1 is geometric, 0 logarithmic.
    """
    chances = log_chances(mean_trials, shape)
    second = min((1 - 1 / at) * trial(at) + chances / at for at in _HELPING_ORDERS)
    orders = (order, *(at for at in _HELPING_ORDERS if at > order))
    return min(trial(at) + math.log(mean_trials) / (at - 1) for at in orders) + (1 + shape) * second


@functools.lru_cache(maxsize=256)
def log_chances(mean_trials: float, shape: float) -> float:
    """Return log(1 / gamma) of the distribution with that mean, from above, where it costs more."""
    if mean_trials == 1:
        return 0.0
    upper = 1.0
    while _mean(upper, shape) < mean_trials:
        upper *= 2
    lower = bisection.largest_number(lambda log: _mean(log, shape) < mean_trials, below=upper, halvings=_HALVINGS)
    return lower * (1 + _ROUNDING)


def _mean(log_chances: float, shape: float) -> float:
    """Return the mean number of trials for log(1 / gamma) above 0."""
    if shape == 0:
        return math.expm1(log_chances) / log_chances
    return shape * math.expm1(log_chances) / -math.expm1(-shape * log_chances)
