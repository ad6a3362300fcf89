"""The tolerances of budget arithmetic: how far a sum of floats may deviate from the exact result."""

from __future__ import annotations

import math

RELATIVE_TOLERANCE = 1e-12
"""The fraction of a capacity by which a sum of floats may deviate from an exact fit."""

_EQUAL_ORDERS = 1e-9
_EQUAL_VALUES = 1e-9


def fits(demand: float, *, available: float, capacity: float) -> bool:
    """Return whether `demand` is at most `available`; an exact fit counts.

    Args:
        demand: the demanded amount of one component.
        available: what is left of it.
        capacity: its initial amount, which scales the tolerance.

    >>> fits(0.2, available=0.3 - 0.1, capacity=0.3), fits(0.2000001, available=0.2, capacity=0.3)
    (True, False)
    """
    return demand <= available + RELATIVE_TOLERANCE * abs(capacity)


def is_same_order(left: float, right: float) -> bool:
    """Return whether two Renyi orders are equal up to float rounding."""
    return math.isclose(left, right, rel_tol=_EQUAL_ORDERS)


def is_same_value(left: float, right: float) -> bool:
    """Return whether two amounts of budget are equal up to float rounding."""
    return math.isclose(left, right, rel_tol=_EQUAL_VALUES, abs_tol=RELATIVE_TOLERANCE)
