"""Thresholds of alarms as text, and which of them a share has reached."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.resources.thresholds import Thresholds


def test_thresholds_are_written_in_any_order_and_read_back() -> None:
    assert str(Thresholds.parse("95%, 80")) == "80%,95%"
    assert Thresholds.parse(str(Thresholds((7, 100)))) == Thresholds((7, 100))


def test_the_highest_threshold_counts_and_a_sum_that_rounds_below_it_too() -> None:
    found = Thresholds((30, 80))
    assert [found.crossed(share) for share in (0.0, 0.1 + 0.2, 0.29999, 0.79, 0.8, 1.0)] == [None, 30, None, 30, 80, 80]
    assert found.crossed(0.3 - 1e-16) == 30


@pytest.mark.parametrize(
    "text", ["", "0", "101%", "80%,80%", "0.8", "80%,", "\u00b2", "-1", "9" * 5000, "1,2,3,4,5,6,7,8,9,10,11"]
)
def test_what_is_not_a_list_of_percentages_is_named(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"alarm thresholds: .* write them like 80%,95%"):
        Thresholds.parse(text)
