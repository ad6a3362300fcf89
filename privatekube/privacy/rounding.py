"""The one tolerance of budget arithmetic: what sums of floats may miss, and no more."""

from __future__ import annotations

import math

RELATIVE_TOLERANCE = 1e-12
"""The share of a capacity by which sums of floats may miss an exact fit."""

_SAME_ORDER = 1e-9


def fits(demand: float, available: float, capacity: float) -> bool:
    """Whether `demand` is no more than what is `available` of `capacity`; an exact fit is none more.

    >>> fits(0.2, 0.3 - 0.1, 0.3), fits(0.2000001, 0.2, 0.3)
    (True, False)
    """
    return demand <= available + RELATIVE_TOLERANCE * abs(capacity)


def is_same_order(left: float, right: float) -> bool:
    """Whether two Renyi orders are one order but for float rounding."""
    return math.isclose(left, right, rel_tol=_SAME_ORDER)
