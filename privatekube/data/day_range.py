"""The public range of days of a dataset: declared by its owner, never read off the data."""

from __future__ import annotations

from datetime import date

from privatekube import errors
from privatekube.data.partition import FIRST_DAY, Slice, date_of

EARLIEST, LATEST = date(1970, 1, 1), date(2099, 12, 31)
"""The days that a range may span; a number beyond them is a unit mistaken for days."""


def declared(*, start_day: str | None, end_day: str | None, days: int | None) -> Slice:
    """Return the range that a data owner declares: a first day, and either a last day or a number of days.

    Args:
        start_day: a date YYYY-MM-DD, or a number of days since 2013-01-01.
        end_day: likewise; inclusive.
        days: how many days, in place of `end_day`.

    Raises:
        InvalidInput: an end is missing, given twice or not a day, or the range is empty.

    Example:
        >>> declared(start_day="2013-01-05", end_day=None, days=10)
        Slice(start_day=4, end_day=13)
    """
    if start_day is None:
        raise _missing("start-day")
    if end_day is None and days is None:
        raise _missing("end-day")
    if end_day is not None and days is not None:
        raise errors.invalid("days", days, f"is given beside end-day {end_day}", "give one of the two")
    if days is not None and days < 1:
        raise errors.invalid("days", days, "must be at least 1", "set one day or more")
    first = number("start-day", start_day)
    last = number("end-day", end_day) if end_day is not None else first + (days or 0) - 1
    if not first <= last <= (LATEST - FIRST_DAY).days:
        bound = f"must lie between start-day {date_of(first)} and {LATEST}"
        raise errors.invalid("end-day" if days is None else "days", end_day or days, bound, "correct the range")
    return Slice(first, last)


def _missing(option: str) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"{option}: is missing; set --start-day 2013-01-01 --end-day 2014-12-31, say: the days are public, so they are "
        "never read off the data; take them from what you know, or from a DP histogram of days that you paid for"
    )


def number(option: str, day: str) -> int:
    """Return the number of a day, counted from 2013-01-01.

    Args:
        option: what to call it in messages.
        day: a date YYYY-MM-DD, or that number.

    Raises:
        InvalidInput: neither, or a day before 1970 or after 2099.
    """
    try:
        counted = int(day) if day.lstrip("-").isdecimal() else (date.fromisoformat(day) - FIRST_DAY).days
    except ValueError as error:
        bound = "is neither a date YYYY-MM-DD nor a number of days since 2013-01-01"
        raise errors.invalid(option, day, bound, "set it as 2013-01-01 or 0") from error
    if not (EARLIEST - FIRST_DAY).days <= counted <= (LATEST - FIRST_DAY).days:
        raise errors.invalid(option, day, f"must lie between {EARLIEST} and {LATEST}", "correct it")
    return counted
