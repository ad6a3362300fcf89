"""One record moves an exact sum by no more than its bounds say, whatever the other values are."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube.interactive import sums
from privatekube.interactive.sums import Bounds

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([math.inf, -math.inf, math.nan, 1e300, -1e300, 5e-324])
COLUMNS = st.lists(NUMBERS, max_size=20)
LIMITS = st.tuples(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4)).map(lambda pair: Bounds(pair[0], pair[0] + pair[1]))


@given(COLUMNS, NUMBERS, LIMITS)
def test_one_record_moves_a_sum_by_the_larger_magnitude_at_most(
    column: list[float], more: float, bounds: Bounds
) -> None:
    before, after = sums.total(column, bounds), sums.total([*column, more], bounds)
    assert abs(Fraction(after) - Fraction(before)) <= Fraction(bounds.largest)


@given(COLUMNS, NUMBERS, LIMITS)
def test_one_record_moves_a_centred_sum_and_the_number_by_twice_the_half_width_at_most(
    column: list[float], more: float, bounds: Bounds
) -> None:
    before, after = sums.centred(column, bounds), sums.centred([*column, more], bounds)
    moved = [abs(Fraction(new) - Fraction(old)) for new, old in zip(after, before, strict=True)]
    assert max(moved) <= Fraction(bounds.half_width)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), LIMITS)
def test_without_noise_the_sum_and_the_mean_are_those_of_the_clipped_values(
    column: list[float], bounds: Bounds
) -> None:
    clipped = np.clip(column, bounds.lower, bounds.upper)
    error = 2**-19 * bounds.largest
    assert sums.total(column, bounds) == pytest.approx(float(clipped.sum()), abs=error * len(column))
    found = sums.mean(*sums.centred(column, bounds), bounds)
    assert found == pytest.approx(float(clipped.mean()), abs=4 * error)


def test_a_mean_stays_within_the_bounds_whatever_the_noise() -> None:
    bounds = Bounds(1.0, 5.0)
    for total in (-1e9, 0.0, 1e9):
        for number in (-5.0, 0.0, 1e-9, 3.0):
            assert 1.0 <= sums.mean(total, number, bounds) <= 5.0


def test_the_bounds_are_public_and_empty_data_has_a_mean() -> None:
    assert sums.total([], Bounds(0.0, 1.0)) == 0.0
    assert sums.mean(*sums.centred([], Bounds(0.0, 1.0)), Bounds(0.0, 1.0)) == 0.5
