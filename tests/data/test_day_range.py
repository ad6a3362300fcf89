"""The range of days is declared, as dates or numbers; what is missing or impossible is one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.data import day_range
from privatekube.data.partition import Slice, date_of


@given(st.integers(-15_000, 31_000), st.integers(0, 700))
def test_dates_numbers_and_a_number_of_days_declare_the_same_range(first: int, more: int) -> None:
    expected = Slice(first, first + more)
    numbers = day_range.declared(start_day=str(first), end_day=str(first + more), days=None)
    dates = day_range.declared(start_day=str(date_of(first)), end_day=str(date_of(first + more)), days=None)
    counted = day_range.declared(start_day=str(first), end_day=None, days=more + 1)
    assert numbers == dates == counted == expected


@pytest.mark.parametrize(
    ("start_day", "end_day", "days", "message"),
    [
        (None, None, None, "start-day: is missing; set --start-day 2013-01-01 --end-day .* DP histogram of days"),
        (None, "2014-01-01", None, "start-day: is missing"),
        ("0", None, None, "end-day: is missing"),
        ("0", "9", 10, "days: 10 is given beside end-day 9; give one of the two"),
        ("0", None, 0, "days: 0 must be at least 1"),
        ("9", "0", None, "end-day: '0' must lie between start-day 2013-01-10 and 2099-12-31"),
        ("0", None, 10**12, "days: 1000000000000 must lie between start-day 2013-01-01 and 2099-12-31"),
        ("2013-02-30", "9", None, "start-day: '2013-02-30' is neither a date YYYY-MM-DD nor a number"),
        ("0", "soon", None, "end-day: 'soon' is neither"),
        ("--1", "0", None, "start-day: '--1' is neither"),
        ("0", "1356998400", None, "end-day: '1356998400' must lie between 1970-01-01 and 2099-12-31"),
        ("1969-12-31", "0", None, "start-day: '1969-12-31' must lie between 1970-01-01 and 2099-12-31"),
    ],
)
def test_a_range_that_is_not_declared_in_full_is_refused(
    start_day: str | None, end_day: str | None, days: int | None, message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        day_range.declared(start_day=start_day, end_day=end_day, days=days)
