"""Cut records into disjoint blocks: a slice of days by a bucket of users, each unit's contribution bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data import ragged
from privatekube.data.records import Records
from privatekube.data.wording import KEYS, Wording
from privatekube.privacy.unit import PrivacyUnit

FIRST_DAY = date(2013, 1, 1)
ALL_DAYS = "all"
"""The kind of slice that is the whole declared range."""
USER_DAY_BOUND = 2
"""Default bound of a user-day: few users have more records of a day, and the noise grows with the bound."""
USER_BOUND = 5
"""Default bound of a user over all days: the noise of counts grows with the bound, that of training does not."""
MOST_BLOCKS = 5_000
"""How many blocks are made at once: about two minutes of work, and as many files and resources."""

PARTITION_KEY_ID = "privatekube-partition-1"
"""Name of the public key below; another key would move users between buckets."""

_PARTITION_HASH = hashlib.blake2b(digest_size=8, key=b"privatekube user partition, key 1")
_CHOICE_HASH = hashlib.blake2b(digest_size=16, key=b"privatekube contribution bound, key 1")

R = TypeVar("R", bound=Records)


@dataclass(frozen=True, slots=True)
class Slice:
    """Days, counted from 2013-01-01, both inclusive.

    Raises:
        InvalidInput: the end is before the start.
    """

    start_day: int
    end_day: int

    def __post_init__(self) -> None:
        if self.end_day < self.start_day:
            raise errors.invalid("end_day", self.end_day, f"is before start_day {self.start_day}", "swap them")


def slices(kind: str, days: Slice, *, n_buckets: int, wording: Wording = KEYS) -> list[Slice]:
    """Return the slices of a public range of days, on public boundaries: calendar weeks from Monday, calendar months.

    The first and the last are cut at the range, so that no block has days outside it.

    Args:
        kind: day, week, month, or all for one slice.
        days: the range.
        n_buckets: how many blocks each slice becomes.
        wording: how the owner wrote this.

    Raises:
        InvalidInput: an unknown kind, or more than MOST_BLOCKS blocks.
    """
    if kind not in _NEXT:
        raise errors.invalid("slice", kind, f"is not one of {', '.join(_NEXT)}", "choose one of them")
    cut: list[Slice] = []
    start, end = days.start_day, days.end_day + 1
    while start < end:
        following = min((_NEXT[kind](date_of(start)) - FIRST_DAY).days, end)
        cut.append(Slice(start, following - 1))
        start = following
    if len(cut) * n_buckets > MOST_BLOCKS:
        bound = f"in {n_buckets} user buckets make {len(cut) * n_buckets} blocks, more than {MOST_BLOCKS} at once"
        remedy = f"set {wording.set('slice', 'month')}, fewer user buckets, or a part of the range at a time"
        raise errors.invalid("days", f"{date_of(days.start_day)} to {date_of(days.end_day)}", bound, remedy)
    return cut


def date_of(day: int) -> date:
    """Return the calendar date of a day."""
    return FIRST_DAY + timedelta(days=day)


def keyed_hash(identifier: str) -> int:
    """Return the 63-bit hash of an id under the partition key; it is the same in every process and version."""
    hashed = _PARTITION_HASH.copy()
    hashed.update(identifier.encode())
    return int.from_bytes(hashed.digest(), "little") >> 1


def keyed_hashes(identifiers: Iterable[bytes]) -> npt.NDArray[np.int64]:
    """Return the hash of each of some ids, which are UTF-8 text, int64 [N]; see `keyed_hash`."""
    return (ragged.hashes_of(identifiers, _PARTITION_HASH).view("<u8") >> np.uint64(1)).astype(np.int64)


def bucket_of(user: np.ndarray, n_buckets: int) -> np.ndarray:
    """Return the bucket of each user, int64 [N], given the users' keyed hashes, int64 [N]."""
    return user % n_buckets


def unit_numbers(records: Records, unit: PrivacyUnit) -> npt.NDArray[np.int64]:
    """Return a number for the privacy unit of each record, int64 [N]; records of one unit have the same number."""
    if unit.is_one_record:
        return np.arange(len(records))
    users = _numbered(records.user)
    if unit is PrivacyUnit.USER:
        return users
    days = _numbered(records.day)
    return _numbered(users * (days.max(initial=0) + 1) + days)  # sorts numbers: to sort pairs takes four times as long


def _numbered(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a number for each value, int64 [N], from 0 without gaps, in the order of the values."""
    return np.unique(values, return_inverse=True)[1]


def kind_of_slice(kind: str | None, unit: PrivacyUnit) -> str:
    """Return the kind of slice that is asked for; by default a day, and all days where the unit is a user."""
    return kind or (ALL_DAYS if unit is PrivacyUnit.USER else "day")


def contribution_bound(unit: PrivacyUnit, max_contribution: int | None, wording: Wording = KEYS) -> int:
    """Return how many records a unit may have in a block: 1 for events, `max_contribution` or a default otherwise.

    Raises:
        InvalidInput: a bound for events, or one below 1.
    """
    name = wording.name("max_contribution")
    if unit.is_one_record:
        if max_contribution not in (None, 1):
            bound = f"is for {wording.set('unit', 'user-day')} or user"
            raise errors.invalid(name, max_contribution, bound, "leave it out")
        return 1
    if max_contribution is None:
        return USER_BOUND if unit is PrivacyUnit.USER else USER_DAY_BOUND
    if max_contribution < 1:
        raise errors.invalid(name, max_contribution, "must be at least 1", "set how many records count")
    return max_contribution


def require_slices(kind: str, unit: PrivacyUnit, wording: Wording = KEYS) -> None:
    """Refuse slices that would spread one privacy unit over several of them, each with a budget of its own.

    Raises:
        InvalidInput: the unit is a user over all days, and the slices are parts of the range.
    """
    if unit is PrivacyUnit.USER and kind != ALL_DAYS:
        bound = "would spread a user over several blocks, each with a budget of its own"
        remedy = f"set {wording.set('slice', ALL_DAYS)}, or {wording.set('unit', 'user-day')}"
        raise errors.invalid("slice", kind, bound, remedy)


def require_one_range(unit: PrivacyUnit, ranges: Iterable[tuple[int, int]]) -> None:
    """Refuse to merge blocks of several ranges of days where the unit is a user over all of them.

    Raises:
        InvalidInput: they have several.
    """
    if unit is PrivacyUnit.USER and len(set(ranges)) > 1:
        raise errors.InvalidInput("blocks: their days differ, so a user may be in several; merge blocks of one range")


def require_bound(records: Records, *, unit: PrivacyUnit, max_contribution: int) -> None:
    """Check that no unit has more records than allowed.

    Raises:
        CorruptData: one has; the message does not say which.
    """
    if unit.is_one_record:
        return
    if np.bincount(unit_numbers(records, unit)).max(initial=0) > max_contribution:
        raise errors.CorruptData(
            f"max_contribution: a {unit} has more records than {max_contribution}; make the blocks again"
        )


def bound_contributions(records: R, *, unit: PrivacyUnit, max_contribution: int) -> R:
    """Return at most `max_contribution` records of each unit; all of them if a unit is one record.

    A keyed hash of each record decides which records stay, so that does not depend on other users' records. Their order
    depends on them alone, too, not on how their source was cut into files.
    """
    order = _order(records)
    return records.select(order[_is_kept(records, unit, max_contribution)[order]])


def _is_kept(records: Records, unit: PrivacyUnit, max_contribution: int) -> npt.NDArray[np.bool_]:
    is_kept = np.ones(len(records), np.bool_)
    if unit.is_one_record:
        return is_kept
    units = unit_numbers(records, unit)
    has_more = np.flatnonzero((np.bincount(units) > max_contribution)[units])
    order = has_more[np.lexsort((*_priorities(records.select(has_more)), units[has_more]))]
    ordered = units[order]
    is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
    begins = np.flatnonzero(is_first)
    rank = np.arange(len(ordered)) - np.repeat(begins, np.diff([*begins, len(ordered)]))
    is_kept[order[rank >= max_contribution]] = False
    return is_kept


def without_copies(records: R) -> R:
    """Return the records less exact copies: one of those with the same content.

    One record must not count as often as it was copied, or the promise for one record would not cover it.
    """
    first = {content: row for row, content in reversed(list(enumerate(records.contents())))}
    return records.select(np.array(sorted(first.values()), dtype=np.int64))


def _order(records: Records) -> npt.NDArray[np.int64]:
    """Return the records' indices by time, and by a keyed hash where they are of one time, int64 [N]."""
    order = np.argsort(records.time, kind="stable")
    follows = np.diff(records.time[order], prepend=np.nan) == 0  # what is at the same time as the one before
    is_tied = follows | np.append(follows[1:], False)[: len(follows)]
    tied = order[is_tied]
    order[is_tied] = tied[np.lexsort((*_priorities(records.select(tied)), records.time[tied]))]
    return order


def _priorities(records: Records) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the keyed hash of each record, uint64 [N]: its lower half, and its upper half, by which it is ordered."""
    halves = ragged.hashes_of(records.contents(), _CHOICE_HASH).view(">u8").reshape(-1, 2)
    return halves[:, 1].astype(np.uint64), halves[:, 0].astype(np.uint64)


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _end_of_time(_: date) -> date:
    return date.max


_NEXT: dict[str, Callable[[date], date]] = {
    "day": lambda day: day + timedelta(days=1),
    "week": lambda day: day + timedelta(days=7 - day.weekday()),
    "month": _next_month,
    ALL_DAYS: _end_of_time,
}
