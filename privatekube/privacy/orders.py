"""Renyi orders: what may be one, and how they are sorted."""

from __future__ import annotations

import functools
import math

from privatekube import errors
from privatekube.privacy.rounding import is_same_order


@functools.lru_cache(maxsize=256)
def increasing(orders: tuple[float, ...]) -> tuple[int, ...]:
    """Where the orders stand, from the lowest to the highest.

    Raises:
        InvalidBudget: an order not above 1 or given twice.
    """
    places = tuple(sorted(range(len(orders)), key=orders.__getitem__))
    for place, following in zip(places, [*places[1:], None], strict=True):
        if not 1 < orders[place] < math.inf:
            raise errors.InvalidBudget(f"alpha: {orders[place]!r} must be a finite number above 1")
        if following is not None and is_same_order(orders[place], orders[following]):
            raise errors.InvalidBudget(f"alpha: {orders[place]!r} is given twice; give each order once")
    return places
