"""Cut reviews into disjoint blocks: a slice of days by a bucket of users, each unit's contribution bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from privatekube import errors
from privatekube.data.columns import Reviews
from privatekube.privacy.unit import PrivacyUnit

FIRST_DAY = date(2013, 1, 1)
_CHOICE_KEY = b"privatekube contribution bound, key 1"


@dataclass(frozen=True, slots=True)
class Slice:
    """Days, counted from 2013-01-01, both inclusive."""

    start_day: int
    end_day: int


def slices(kind: str, start_day: int, days: int) -> Iterator[Slice]:
    """Generate the slices of a public range of days, on public boundaries: calendar weeks from Monday, calendar months.

    The first and the last are cut at the range, so that no block has days outside it.

    Args:
        kind: day, week or month.
        start_day: first day, counted from 2013-01-01.
        days: how many.

    Raises:
        InvalidInput: an unknown kind, or less than one day.
    """
    if days < 1:
        raise errors.invalid("days", days, "must be at least 1", "set one day or more")
    if kind not in _NEXT:
        raise errors.invalid("slice", kind, f"is not one of {', '.join(_NEXT)}", "choose one of them")
    end = start_day + days
    while start_day < end:
        following = min((_NEXT[kind](date_of(start_day)) - FIRST_DAY).days, end)
        yield Slice(start_day, following - 1)
        start_day = following


def date_of(day: int) -> date:
    """Return the calendar date of a day."""
    return FIRST_DAY + timedelta(days=day)


def bucket_of(user: np.ndarray, n_buckets: int) -> np.ndarray:
    """Return the bucket of each user, int64 [N], given the users' keyed hashes, int64 [N]."""
    return user % n_buckets


def bound_contributions(reviews: Reviews, *, unit: PrivacyUnit, max_contribution: int) -> Reviews:
    """Return at most `max_contribution` reviews of each unit; all of them if a unit is one review.

    A keyed hash of each review decides which reviews stay, so that does not depend on other users' reviews.
    """
    if unit.is_one_record:
        return reviews
    priority = [_priority(reviews, row) for row in range(len(reviews))]
    units: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(zip(reviews.user.tolist(), reviews.day.tolist(), strict=True)):
        units.setdefault(key, []).append(row)
    kept = [row for rows in units.values() for row in sorted(rows, key=priority.__getitem__)[:max_contribution]]
    return reviews.select(np.array(sorted(kept), dtype=np.int64))


def in_order(reviews: Reviews) -> Reviews:
    """Return the reviews in an order that depends on them alone, not on how their source was cut into files."""
    order = sorted(range(len(reviews)), key=lambda row: (int(reviews.time[row]), _priority(reviews, row)))
    return reviews.select(np.array(order, dtype=np.int64))


def _priority(reviews: Reviews, row: int) -> bytes:
    content = [reviews.user[row], reviews.product[row], reviews.time[row], reviews.category[row], reviews.stars[row]]
    hashed = hashlib.blake2b(np.array(content, np.int64).tobytes(), digest_size=16, key=_CHOICE_KEY)
    hashed.update(reviews.tokens[reviews.offsets[row] : reviews.offsets[row + 1]].tobytes())
    return hashed.digest()


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


_NEXT = {
    "day": lambda day: day + timedelta(days=1),
    "week": lambda day: day + timedelta(days=7 - day.weekday()),
    "month": _next_month,
}
