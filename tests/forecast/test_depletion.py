"""When a budget runs out at the rate of the past: exact where amounts are equal, and covered by its interval."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from privatekube.forecast import depletion, gamma
from privatekube.forecast.depletion import DAY_MS

SHARES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=20)


def test_a_tenth_a_day_uses_up_what_is_left_in_as_many_days_and_the_interval_is_that_of_a_poisson_count() -> None:
    found = depletion.forecast([0.1] * 5, 0.5, since_ms=0, now_ms=5 * DAY_MS)
    assert found.at_ms == 10 * DAY_MS
    assert found.per_day == pytest.approx(0.1)
    low, high = 1.6234864, 11.6683321  # the exact interval of a count of 5 (Garwood, 1936)
    assert found.earliest_ms == pytest.approx(5 * DAY_MS * (1 + 5 / high), abs=1000)
    assert found.latest_ms == pytest.approx(5 * DAY_MS * (1 + 5 / low), abs=1000)


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.7, 10.0, 333.3])
def test_quantiles_are_those_of_the_gamma_distribution(shape: float) -> None:
    for probability in (0.025, 0.5, 0.975):
        assert gamma.quantile(probability, shape) == pytest.approx(special.gammaincinv(shape, probability), rel=1e-9)


@given(SHARES, st.floats(0.01, 1.0), st.integers(0, 400))
def test_the_estimate_lies_in_its_interval_and_in_the_future(spent: list[float], left: float, days: int) -> None:
    now_ms = days * DAY_MS
    found = depletion.forecast(spent, left, since_ms=0, now_ms=now_ms)
    times = [math.inf if time is None else time for time in (found.earliest_ms, found.at_ms, found.latest_ms)]
    assert times == sorted(times)
    assert times[0] >= now_ms


@pytest.mark.parametrize("expected", [2.0, 30.0])
def test_the_interval_covers_the_true_time_at_least_as_often_as_it_says(expected: float) -> None:
    """Amounts of different size: a tenth of them ten times as large as the others."""
    chance, covered, trials = random.Random(1), 0, 400
    for _ in range(trials):
        amounts, now = [], 0.0
        while (now := now + chance.expovariate(expected / 60)) < 60:
            amounts.append(0.1 if chance.random() < 0.1 else 0.01)
        found = depletion.forecast(amounts, 0.5, since_ms=0, now_ms=60 * DAY_MS, largest=0.1)
        true_ms = 60 * DAY_MS * (1 + 0.5 / (expected * 0.019))
        covered += (found.earliest_ms or 0) <= true_ms <= (found.latest_ms or math.inf)
    assert covered / trials > 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials)


def test_where_nothing_was_spent_there_is_a_day_before_which_it_does_not_run_out() -> None:
    found = depletion.forecast([], 1.0, since_ms=0, now_ms=10 * DAY_MS, largest=0.1)
    assert (found.at_ms, found.latest_ms) == (None, None)
    bound = 0.1 * -math.log(0.025) / 10  # a day: so often as 95 % allow, each time as much as ever
    assert found.earliest_ms == pytest.approx(10 * DAY_MS + DAY_MS / bound, abs=1000)
    assert str(found) == "not before 1970-02-07 (95 %; nothing was spent lately)"
    unknown = depletion.forecast([], 1.0, since_ms=0, now_ms=10 * DAY_MS)
    assert unknown.earliest_ms == pytest.approx(10 * DAY_MS * (1 - 1 / math.log(0.025)), abs=1000)


def test_nothing_left_is_now() -> None:
    found = depletion.forecast([0.5], 0.0, since_ms=0, now_ms=DAY_MS)
    assert (found.earliest_ms, found.at_ms, found.latest_ms) == (DAY_MS, DAY_MS, DAY_MS)


def test_a_time_beyond_a_century_is_not_stated() -> None:
    found = depletion.forecast([1e-9], 1.0, since_ms=0, now_ms=DAY_MS)
    assert found.at_ms is None
    assert str(found) == "later than in 100 years"


def test_a_store_of_an_hour_is_not_extrapolated_from_an_hour() -> None:
    hour = depletion.forecast([0.1], 0.9, since_ms=0, now_ms=DAY_MS // 24)
    assert hour.at_ms == DAY_MS // 24 + 9 * DAY_MS
