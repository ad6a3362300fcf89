"""When a budget runs out at the rate at which it was spent lately, and how sure that is.

Model: commits come at a constant rate and differ in size (a compound Poisson process). Of amounts s_1, ..., s_n in a
time T, the rate is estimated as sum(s) / T. Its interval is that of a sum of Poisson counts with weights, by gamma
distributions: Fay and Feuer (1997), "Confidence intervals for directly standardized rates", Statistics in Medicine 16,
791-801. For equal amounts it is the exact interval of a Poisson count. If nothing was spent, its upper end is 3.69
times the largest amount, so that there still is a time before which the budget does not run out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from privatekube.forecast import gamma
from privatekube.resources.meta import format_time

DAY_MS = 86_400_000
WINDOW_DAYS = 30
"""How many days count as lately."""
_LOW, _HIGH = 0.025, 0.975
_HORIZON_MS = 100 * 365 * DAY_MS
"""Nothing is said about a time that is further away."""


@dataclass(frozen=True, slots=True)
class Depletion:
    """When what is left is used up, in unix milliseconds.

    Args:
        at_ms: at the estimated rate; None if nothing was spent, or it is more than 100 years away.
        earliest_ms: the lower end of the 95 % interval; None if it is more than 100 years away.
        latest_ms: the upper end; None likewise, and if nothing was spent.
        per_day: the estimated rate, in shares of the budget a day.
    """

    at_ms: int | None = None
    earliest_ms: int | None = None
    latest_ms: int | None = None
    per_day: float = 0.0

    def __str__(self) -> str:
        if self.earliest_ms is None:
            return "later than in 100 years"
        if self.at_ms is None:
            why = "nothing was spent lately" if not self.per_day else "at the rate of the past later than in 100 years"
            return f"not before {_day(self.earliest_ms)} (95 %; {why})"
        latest = "an unknown time" if self.latest_ms is None else _day(self.latest_ms)
        return f"about {_day(self.at_ms)} (95 %: {_day(self.earliest_ms)} to {latest})"


def forecast(
    spent: Sequence[float], left: float, *, since_ms: int, now_ms: int, largest: float | None = None
) -> Depletion:
    """Return when a budget is used up.

    Args:
        spent: the shares of the budget that were committed since `since_ms`, each of one claim.
        left: the share that is left.
        since_ms: when this spending could begin, unix milliseconds.
        now_ms: the time; a history of less than a day counts as one of a day.
        largest: the largest share that one commit takes; None for the largest of `spent`, or all if there is none.

    >>> str(forecast([0.1, 0.1], 0.4, since_ms=0, now_ms=10 * DAY_MS))
    'about 1970-01-31 (95 %: 1970-01-16 to 1970-06-25)'
    """
    amounts = [amount for amount in spent if amount > 0]
    elapsed_ms = max(DAY_MS, now_ms - since_ms)
    total = math.fsum(amounts)
    per_day = total / elapsed_ms * DAY_MS
    if left <= 0:
        return Depletion(now_ms, now_ms, now_ms, per_day)
    most = max([*amounts, *([largest] if largest else [])], default=1.0)
    low, high = _interval(amounts, most)
    at_ms, earliest_ms, latest_ms = (_time(now_ms, left, amount, elapsed_ms) for amount in (total, high, low))
    return Depletion(at_ms, earliest_ms, latest_ms, per_day)


def _interval(amounts: Sequence[float], most: float) -> tuple[float, float]:
    """Return the 95 % interval of the expected sum of amounts of which `most` is the largest possible."""
    total, squares = math.fsum(amounts), math.fsum(amount**2 for amount in amounts)
    low = squares / total * gamma.quantile(_LOW, total**2 / squares) if total else 0.0
    scale, mean = squares + most**2, total + most
    return low, scale / mean * gamma.quantile(_HIGH, mean**2 / scale)


def _time(now_ms: int, left: float, amount: float, elapsed_ms: int) -> int | None:
    """Return when what is left is used up if so much is spent in such a time."""
    wait_ms = left / amount * elapsed_ms if amount > 0 else math.inf
    return None if wait_ms > _HORIZON_MS else now_ms + round(wait_ms)


def _day(unix_ms: int) -> str:
    return format_time(unix_ms)[:10]
