"""Search by bisection."""

from __future__ import annotations

from collections.abc import Callable


def largest_number(holds: Callable[[float], bool], *, below: float, halvings: int) -> float:
    """Return the largest number below `below` at which `holds` is true, or 0 if it is true at no number tried.

    Args:
        holds: true up to some number above 0, and false above it.
        below: the upper end of the search; not tried.
        halvings: the number of steps; the result is too small by at most below / 2**halvings.
    """
    low, high = 0.0, below
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def largest_integer(holds: Callable[[int], bool], *, limit: int) -> int:
    """Return the largest integer from 1 to `limit` at which `holds` is true, or 0 if it is true at none.

    Args:
        holds: true up to some integer, and false above it.
        limit: the largest integer that is tried.
    """
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
