"""The least noise that meets a privacy target."""

from __future__ import annotations

import math
from collections.abc import Callable

from privatekube import errors
from privatekube.privacy import accounting
from privatekube.privacy.events import DpEvent

RELATIVE_TOLERANCE = 0.01
"""How far the epsilon of calibrated noise may stay below its target, as a fraction of it; it is never above.

Where epsilon falls steeply with the noise, as for a delta near the sampling rate, this bounds the noise instead.

It is usually below 0.1 %; see `accounting.epsilon` for where the grid of the privacy losses is coarser.
"""

LEAST_NOISE = 0.01
"""The least noise multiplier that is planned, whatever epsilon allows: below it, noise hides nothing."""

_MOST_NOISE = 1e12
_BRACKET = 1.01  # ratio of noise to which the fast bound is resolved
_FIRST_STEP, _STEP_GROWTH = 1.05, 2.0
_NOISE_TOLERANCE = 5e-5
_CLOSE = 5e-4  # of epsilon to the target
_MOST_EVALUATIONS = 40


def noise_multiplier(make: Callable[[float], DpEvent], *, target_epsilon: float, delta: float) -> float:
    """Return the smallest noise multiplier for which `make(noise_multiplier)` meets the target.

    Its epsilon is at most the target. It is within `RELATIVE_TOLERANCE` below it, or the noise is within the same
    tolerance above the least that suffices, or is `LEAST_NOISE`.

    Args:
        make: returns the composition of all mechanisms for a noise multiplier, which is in units of the clipping norm.
        target_epsilon: the bound on epsilon.
        delta: the bound on delta.

    Raises:
        InvalidInput: delta is not in (0, 1), or even a very large noise multiplier does not reach the target.
    """

    def excess(noise: float) -> float:
        """Return the log of epsilon over the target: above 0 where the noise is too small."""
        return _log_ratio(accounting.epsilon(make(noise), delta), target_epsilon)

    upper, above = _sufficient_noise(make, target_epsilon, delta), -math.inf
    step, lower, below = _FIRST_STEP, upper, -math.inf
    while below <= 0:
        upper, above = lower, below
        if upper == LEAST_NOISE:
            return upper
        lower = max(LEAST_NOISE, upper / step)
        below, step = excess(lower), step**_STEP_GROWTH
    return _refined(excess, (lower, below), (upper, above))


def _sufficient_noise(make: Callable[[float], DpEvent], target_epsilon: float, delta: float) -> float:
    """Return a noise multiplier that suffices by the bounds without PLD, which are fast but less tight."""

    def suffices(noise: float) -> bool:
        return accounting.epsilon_without_pld(make(noise), delta) <= target_epsilon

    if not suffices(_MOST_NOISE):
        raise errors.InvalidInput(
            f"epsilon: {target_epsilon:.4g} is too small for this plan at any noise; raise epsilon or plan fewer steps"
        )
    lower, upper = LEAST_NOISE, _MOST_NOISE
    while upper > lower * _BRACKET:
        middle = math.sqrt(lower * upper)
        lower, upper = (lower, middle) if suffices(middle) else (middle, upper)
    return upper


def _refined(excess: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]) -> float:
    """Return the noise between `low`, which is too small, and `high`, which suffices, where the excess is nearly 0.

    False position in the logarithms of noise and epsilon, which are nearly proportional; halves the interval where it
    would stay at one end.
    """
    for evaluation in range(_MOST_EVALUATIONS):
        (lower, below), (upper, above) = low, high
        if upper <= lower * (1 + _NOISE_TOLERANCE) or -_CLOSE < above <= 0:
            break
        part = 0.5 if evaluation % 3 == 2 or not math.isfinite(below - above) else below / (below - above)
        noise = lower * (upper / lower) ** min(max(part, 0.01), 0.99)
        value = excess(noise)
        low, high = (low, (noise, value)) if value <= 0 else ((noise, value), high)
    return high[0]


def _log_ratio(epsilon: float, target: float) -> float:
    return math.log(epsilon / target) if epsilon > 0 else -math.inf
