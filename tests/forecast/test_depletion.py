"""When a budget runs out at the rate of the past: exact where amounts are equal, and covered by its interval."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from privatekube.forecast import depletion
from privatekube.forecast.depletion import DAY_MS, Depletion

SHARES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=20)


def test_a_tenth_a_day_uses_up_what_is_left_in_as_many_days() -> None:
    found = depletion.forecast([0.1] * 5, 0.5, since_ms=0, now_ms=5 * DAY_MS)
    assert found.at_ms == 10 * DAY_MS
    factor = math.exp(1.959964 / math.sqrt(5))
    assert found.earliest_ms == round(5 * DAY_MS + 5 * DAY_MS / factor)
    assert found.latest_ms == round(5 * DAY_MS + 5 * DAY_MS * factor)


@given(SHARES, st.floats(0.01, 1.0), st.integers(0, 400))
def test_the_estimate_lies_in_its_interval_and_in_the_future(spent: list[float], left: float, days: int) -> None:
    now_ms = days * DAY_MS
    found = depletion.forecast(spent, left, since_ms=0, now_ms=now_ms)
    times = [math.inf if time is None else time for time in (found.earliest_ms, found.at_ms, found.latest_ms)]
    assert times == sorted(times)
    assert times[0] >= now_ms


def test_the_interval_covers_the_true_time_about_as_often_as_it_says() -> None:
    chance, covered, trials, true_rate = random.Random(1), 0, 400, 0.5
    for _ in range(trials):
        times, now = [], 0.0
        while (now := now + chance.expovariate(true_rate)) < 60:
            times.append(now)
        found = depletion.forecast([0.01] * len(times), 0.5, since_ms=0, now_ms=60 * DAY_MS)
        true_ms = 60 * DAY_MS + 0.5 / 0.01 / true_rate * DAY_MS
        covered += (found.earliest_ms or 0) <= true_ms <= (found.latest_ms or math.inf)
    standard_error = math.sqrt(0.95 * 0.05 / trials)
    assert abs(covered / trials - 0.95) < 4 * standard_error + 0.01


def test_nothing_spent_is_no_forecast_and_nothing_left_is_now() -> None:
    assert str(depletion.forecast([], 1.0, since_ms=0, now_ms=DAY_MS)) == "not at the rate of the past"
    assert depletion.forecast([0.5], 0.0, since_ms=0, now_ms=DAY_MS) == Depletion(DAY_MS, DAY_MS, DAY_MS)


def test_a_time_beyond_a_century_is_not_stated() -> None:
    found = depletion.forecast([1e-9], 1.0, since_ms=0, now_ms=DAY_MS)
    assert found.at_ms is None
    assert "2" not in str(found)


def test_a_store_of_an_hour_is_not_extrapolated_from_an_hour() -> None:
    hour = depletion.forecast([0.1], 0.9, since_ms=0, now_ms=DAY_MS // 24)
    assert hour.at_ms == DAY_MS // 24 + 9 * DAY_MS


def test_the_first_and_the_last_are_found_and_one_that_never_comes_is_last() -> None:
    soon, late, never = Depletion(1, 1, 1), Depletion(2, 2, 2), Depletion()
    assert depletion.first([late, never, soon]) is soon
    assert depletion.last([late, soon]) is late
    assert depletion.last([late, never, soon]) is never
    assert depletion.first([]) == never
