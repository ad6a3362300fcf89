"""When a budget runs out at the rate at which the ledger says that it was spent so far, and how sure that is.

Model: commits come at a constant rate and differ in size (a compound Poisson process). Of n amounts s_1, ..., s_n in a
time T, the rate is estimated as sum(s) / T with the relative standard error sqrt(sum(s^2)) / sum(s), which is
1 / sqrt(n) for equal amounts. The interval is taken on the logarithm of the rate, so that it never includes zero.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from privatekube.resources.meta import format_time

DAY_MS = 86_400_000
_NORMAL_95 = 1.959964
_HORIZON_MS = 100 * 365 * DAY_MS
"""Nothing is said about a time that is further away."""


@dataclass(frozen=True, slots=True)
class Depletion:
    """When what is left is used up, in unix milliseconds.

    Args:
        at_ms: at the estimated rate; None if nothing was spent, or it is more than 100 years away.
        earliest_ms: the lower end of the 95 % interval; None likewise.
        latest_ms: the upper end; None likewise.
    """

    at_ms: int | None = None
    earliest_ms: int | None = None
    latest_ms: int | None = None

    def __str__(self) -> str:
        if self.at_ms is None and self.earliest_ms is None:
            return "not at the rate of the past"
        about = "later than in 100 years" if self.at_ms is None else f"about {_day(self.at_ms)}"
        latest = "an unknown time" if self.latest_ms is None else _day(self.latest_ms)
        return f"{about} (95 %: {_day(self.earliest_ms or 0)} to {latest})"


def forecast(spent: Sequence[float], left: float, *, since_ms: int, now_ms: int) -> Depletion:
    """Return when a budget is used up.

    Args:
        spent: the shares of the budget that were committed since `since_ms`.
        left: the share that is left.
        since_ms: when spending could begin, unix milliseconds.
        now_ms: the time; a history of less than a day counts as one of a day.

    >>> str(forecast([0.1, 0.1], 0.4, since_ms=0, now_ms=10 * DAY_MS))
    'about 1970-01-31 (95 %: 1970-01-16 to 1970-03-31)'
    """
    total = math.fsum(amount for amount in spent if amount > 0)
    if left <= 0:
        return Depletion(now_ms, now_ms, now_ms)
    if total <= 0:
        return Depletion()
    elapsed_ms = max(DAY_MS, now_ms - since_ms)
    wait_ms = left / total * elapsed_ms
    factor = math.exp(_NORMAL_95 * math.sqrt(math.fsum(amount**2 for amount in spent)) / total)
    times = (_within(now_ms, wait) for wait in (wait_ms, wait_ms / factor, wait_ms * factor))
    return Depletion(*times)


def first(depletions: Collection[Depletion]) -> Depletion:
    """Return the one that comes first; of none, one that does not come."""
    return min(depletions, key=_order, default=Depletion())


def last(depletions: Collection[Depletion]) -> Depletion:
    """Return the one that comes last: after it nothing is left anywhere; of none, one that does not come."""
    return max(depletions, key=_order, default=Depletion())


def _order(depletion: Depletion) -> float:
    return math.inf if depletion.at_ms is None else depletion.at_ms


def _within(now_ms: int, wait_ms: float) -> int | None:
    return None if wait_ms > _HORIZON_MS else now_ms + round(wait_ms)


def _day(unix_ms: int) -> str:
    return format_time(unix_ms)[:10]
