"""Renyi orders: which are used, which are valid, and how they are sorted."""

from __future__ import annotations

import functools
import math

from privatekube import errors
from privatekube.privacy import rounding

INFINITE_ORDER = 1e6
"""The order that represents infinity, at which the Renyi epsilon of a pure mechanism is its epsilon."""


@functools.lru_cache(maxsize=256)
def sorted_positions(orders: tuple[float, ...]) -> tuple[int, ...]:
    """Return the positions of the orders, from the lowest order to the highest.

    Raises:
        InvalidBudget: an order is not above 1, or given twice.
    """
    positions = tuple(sorted(range(len(orders)), key=orders.__getitem__))
    for position, following in zip(positions, [*positions[1:], None], strict=True):
        if not 1 < orders[position] < math.inf:
            raise errors.InvalidBudget(f"alpha: {orders[position]!r} must be a finite number above 1")
        if following is not None and rounding.is_same_order(orders[position], orders[following]):
            raise errors.InvalidBudget(f"alpha: {orders[position]!r} is given twice; give each order once")
    return positions
