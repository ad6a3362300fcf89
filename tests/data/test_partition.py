"""Blocks are disjoint, their boundaries public, and a unit's contribution bounded by a stable choice."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks import record
from privatekube import errors
from privatekube.data import partition
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY, Reviews
from privatekube.data.partition import Slice
from privatekube.privacy.unit import PrivacyUnit

ROOT = Path(__file__).resolve().parents[2]


def reviews(users: list[int], days: list[int] | None = None) -> Reviews:
    when = days or [0] * len(users)
    records = [
        record.Record(f"u{user}", f"p{i}", "c", 5, FIRST_DAY_SECONDS + day * SECONDS_PER_DAY + i % 60, "", f"word {i}")
        for i, (user, day) in enumerate(zip(users, when, strict=True))
    ]
    return record.columns(records, ["c"])


def rows(part: Reviews) -> set[tuple[int, int, int]]:
    return set(zip(part.user.tolist(), part.product.tolist(), part.time.tolist(), strict=True))


@given(st.sampled_from(["day", "week", "month"]), st.integers(-2000, 3000), st.integers(1, 200))
def test_slices_cover_the_range_without_gap_or_overlap(kind: str, start: int, days: int) -> None:
    cut = partition.slices(kind, Slice(start, start + days - 1), n_buckets=1)
    assert cut[0].start_day == start
    assert cut[-1].end_day == start + days - 1
    assert all(a.end_day + 1 == b.start_day for a, b in itertools.pairwise(cut))


def test_months_begin_on_the_first_and_weeks_on_mondays() -> None:
    months = partition.slices("month", Slice(0, 364), n_buckets=1)
    assert [partition.date_of(month.start_day).day for month in months] == [1] * 12
    weeks = partition.slices("week", Slice(0, 59), n_buckets=1)
    assert {partition.date_of(week.start_day).weekday() for week in weeks[1:]} == {0}


def test_an_unknown_slice_and_days_before_their_start_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="slice: 'year' is not one of day, week, month"):
        partition.slices("year", Slice(0, 9), n_buckets=1)
    with pytest.raises(errors.InvalidInput, match="end_day: 2 is before start_day 3"):
        Slice(3, 2)


def test_a_range_of_too_many_blocks_is_refused_before_any_is_written() -> None:
    whole = Slice(0, partition.MOST_BLOCKS - 1)
    assert len(partition.slices("day", whole, n_buckets=1)) == partition.MOST_BLOCKS
    with pytest.raises(
        errors.InvalidInput, match="2 user buckets make 10000 blocks, more than 5000 at once; set slice month"
    ):
        partition.slices("day", whole, n_buckets=2)


def test_of_exact_copies_one_stays() -> None:
    whole = reviews([1, 1, 2])
    kept = partition.without_copies(whole.select(np.array([0, 1, 0, 2, 2, 0])))
    assert rows(kept) == rows(whole)
    assert len(kept) == len(whole)


def test_a_users_bucket_is_the_same_in_every_process() -> None:
    program = "from privatekube.data import partition as p; print(p.keyed_hash('user-1'), p.keyed_hash('B000'))"
    ran = [subprocess.check_output([sys.executable, "-c", program], cwd=ROOT) for _ in range(2)]
    assert ran[0] == ran[1]
    assert ran[0].split() == [str(partition.keyed_hash("user-1")).encode(), str(partition.keyed_hash("B000")).encode()]


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 5))
def test_buckets_split_users_and_lose_none(users: list[int], n_buckets: int) -> None:
    whole = reviews(users)
    bucket = partition.bucket_of(whole.user, n_buckets)
    parts = [whole.select(bucket == number) for number in range(n_buckets)]
    assert sum(map(len, parts)) == len(whole)
    owners = [set(part.user.tolist()) for part in parts]
    assert sum(map(len, owners)) == len(set(whole.user.tolist()))


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 4))
def test_no_unit_contributes_more_than_its_bound(users: list[int], bound: int) -> None:
    whole = reviews(users, [i % 2 for i in range(len(users))])
    kept = partition.bound_contributions(whole, unit=PrivacyUnit.USER_DAY, max_contribution=bound)
    before = Counter(zip(whole.user.tolist(), whole.day.tolist(), strict=True))
    after = Counter(zip(kept.user.tolist(), kept.day.tolist(), strict=True))
    assert after == {unit: min(count, bound) for unit, count in before.items()}
    kept = partition.bound_contributions(whole, unit=PrivacyUnit.USER, max_contribution=bound)
    by_user = Counter(whole.user.tolist())
    assert Counter(kept.user.tolist()) == {user: min(count, bound) for user, count in by_user.items()}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=20))
def test_units_are_numbered_without_gaps_in_the_order_of_users_and_days(pairs: list[tuple[int, int]]) -> None:
    made = reviews([user for user, _ in pairs], [day for _, day in pairs])
    user_days = list(zip(made.user.tolist(), made.day.tolist(), strict=True))
    for unit, owners in ((PrivacyUnit.USER, made.user.tolist()), (PrivacyUnit.USER_DAY, user_days)):
        numbers = partition.unit_numbers(made, unit).tolist()
        assert numbers == [sorted(set(owners)).index(owner) for owner in owners]


def test_a_user_over_all_days_is_in_one_slice_alone() -> None:
    days = Slice(-40, 900)
    assert partition.slices(partition.kind_of_slice(None, PrivacyUnit.USER), days, n_buckets=3) == [days]
    assert partition.kind_of_slice(None, PrivacyUnit.EVENT) == "day"
    with pytest.raises(errors.InvalidInput, match="slice: 'month' would spread a user over several blocks"):
        partition.require_slices("month", PrivacyUnit.USER)


def test_all_events_are_kept() -> None:
    whole = reviews([1, 1, 1, 1])
    assert len(partition.bound_contributions(whole, unit=PrivacyUnit.EVENT, max_contribution=1)) == 4


def test_what_stays_of_a_unit_does_not_change_with_other_users() -> None:
    mine = [1] * 9
    alone = partition.bound_contributions(reviews(mine), unit=PrivacyUnit.USER_DAY, max_contribution=3)
    together = partition.bound_contributions(
        reviews([*mine, 2, 3, 3, 3, 3]), unit=PrivacyUnit.USER_DAY, max_contribution=3
    )
    assert rows(alone) == {row for row in rows(together) if row[0] == alone.user[0]}


def test_the_order_of_the_source_does_not_matter() -> None:
    whole = reviews([3, 1, 2, 1, 3])
    shuffled = whole.select(np.array([4, 2, 0, 1, 3]))
    one, other = (
        partition.bound_contributions(part, unit=PrivacyUnit.EVENT, max_contribution=1) for part in (whole, shuffled)
    )
    assert one.product.tolist() == other.product.tolist()
    assert one.tokens.tolist() == other.tokens.tolist()


def test_a_slice_is_a_pair_of_days() -> None:
    assert Slice(1, 2) != Slice(1, 3)
