"""Times and days in words, for every view."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from privatekube.data import partition
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.requester import Requester


def moment(unix_ms: int | None) -> str:
    """Return a time to the minute.

    >>> moment(0)
    '1970-01-01 00:00 UTC'
    """
    return "" if unix_ms is None else f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def who(requester: Requester) -> str:
    """Return who requests budget, and for which team; nothing where neither is stated.

    >>> who(Requester(user="ann", team="ads"))
    'ann for ads'
    """
    user, team = requester.user or "", requester.team
    return user if team is None else f"{user} for {team}".strip()


def day(number: Decimal) -> str:
    """Return the day of a block's `startTime` or `endTime` with its weekday; the number where it is not a day.

    >>> day(Decimal(7))
    'Tue 2013-01-08'
    """
    try:
        calendar_day = _date(number)
    except (OverflowError, ValueError):
        return f"{number:g}" if abs(number) < Decimal("1e15") else f"{number:.4e}"
    return f"{calendar_day:%a} {calendar_day.isoformat()}"


def days_of(block: PrivateDataBlock) -> str:
    """Return the day or the days of a block in words; nothing where it declares none."""
    days = DeclaredData.of(block).days
    if days is None:
        return ""
    first, last = days
    return day(first) if first == last else f"{day(first)} to {day(last)}"


def _date(number: Decimal) -> date:
    if number != int(number):
        raise ValueError("part of a day")
    return partition.FIRST_DAY + timedelta(days=int(number))
