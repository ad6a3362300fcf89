"""Group privacy: what a guarantee for one privacy unit means for several units of the same person."""

from __future__ import annotations

import math

from privatekube import errors


def delta_of_group(epsilon: float, delta: float, *, size: int) -> float | None:
    """Return the delta at which a group of `size` units has (size x epsilon)-DP, if one unit has (epsilon, delta)-DP.

    Going from one data set to its neighbour unit by unit multiplies what was added before by exp(epsilon) each time, so
    delta_k = delta (1 + e^epsilon + ... + e^((k-1) epsilon)) = delta (e^(k epsilon) - 1) / (e^epsilon - 1).

    Args:
        epsilon: of one unit.
        delta: of one unit.
        size: k, how many units the group has.

    Returns:
        delta_k; None where it is 1 or more, which promises nothing.

    Raises:
        InvalidInput: epsilon or size is not above 0, or delta is not between 0 and 1.

    Source: Vadhan, "The Complexity of Differential Privacy" (2017), Lemma 2.2 and its proof.

    >>> f"{delta_of_group(1.0, 1e-9, size=10):.3g}"
    '1.28e-05'
    """
    if epsilon <= 0 or size < 1:
        raise errors.invalid("group", f"epsilon {epsilon}, size {size}", "is not above 0", "give positive numbers")
    if not 0 <= delta < 1:
        raise errors.invalid("delta", delta, "is not from 0 to below 1", "change it")
    if delta == 0:
        return 0.0
    log_ratio = (size - 1) * epsilon + _log_one_minus_exp(size * epsilon) - _log_one_minus_exp(epsilon)
    log_delta = math.log(delta) + log_ratio
    return math.exp(log_delta) if log_delta < 0 else None


def _log_one_minus_exp(positive: float) -> float:
    """Return log(1 - exp(-x)) for x > 0, without overflow for large x or cancellation for small x."""
    return math.log(-math.expm1(-positive))
