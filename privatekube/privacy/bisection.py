"""Search by halving."""

from __future__ import annotations

from collections.abc import Callable

_HALVINGS = 20


def largest_share(holds: Callable[[float], bool]) -> float | None:
    """The largest share below 1 at which `holds` is true, if it is so at all smaller ones; None if there is none."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low or None


def most(holds: Callable[[int], bool], limit: int) -> int:
    """The largest number up to `limit` at which `holds` is true, if it is so at all smaller ones; 0 if at none."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
