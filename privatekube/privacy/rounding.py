"""The tolerances of budget arithmetic: how far a sum of floats may deviate from the exact result.

Each component has its own scale: what is nothing beside an epsilon of 10 may be much beside a delta of 1e-7.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

RELATIVE_TOLERANCE = 1e-12
"""The fraction of a capacity by which a sum of floats may deviate from an exact fit."""

RESOLUTION = RELATIVE_TOLERANCE
"""The fraction of a capacity above which a demand costs something; a smaller one would fit what is used up."""

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


def is_negligible(value: float, capacity: float) -> bool:
    """Return whether a value is zero up to float rounding of amounts up to `capacity`."""
    return abs(value) <= RELATIVE_TOLERANCE * abs(capacity)


def sum_rounded_up(values: Iterable[float]) -> float:
    """Return the smallest float that is not below the exact sum.

    >>> sum_rounded_up([0.1] * 10), sum_rounded_up([1.0, 2.0])
    (1.0000000000000002, 3.0)
    """
    terms = list(values)
    nearest = math.fsum(terms)
    return math.nextafter(nearest, math.inf) if math.fsum([*terms, -nearest]) > 0 else nearest


def is_same_order(left: float, right: float) -> bool:
    """Return whether two Renyi orders are equal up to float rounding."""
    return math.isclose(left, right, rel_tol=_EQUAL_ORDERS)


def is_same_value(left: float, right: float) -> bool:
    """Return whether two amounts of budget are equal up to float rounding, however small they are."""
    return math.isclose(left, right, rel_tol=_EQUAL_VALUES)
