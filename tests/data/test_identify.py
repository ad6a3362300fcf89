"""The identity of reviews: it depends on who wrote about what and when, and on nothing that a cut or a name changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from privatekube.data import columns, identify
from privatekube.data.columns import Reviews
from privatekube.resources.data_identity import DataIdentity, Overlap

KEY = bytes(range(32))


def reviews(count: int, *, days: int = 1, seed: int = 0) -> Reviews:
    generator = np.random.default_rng(seed)
    return Reviews(
        user=generator.integers(0, 2**62, count),
        product=generator.integers(0, 2**62, count),
        time=columns.FIRST_DAY_SECONDS + generator.integers(0, days * columns.SECONDS_PER_DAY, count),
        category=generator.integers(0, 3, count).astype(np.int16),
        stars=generator.integers(1, 6, count).astype(np.int8),
        summary_length=np.zeros(count, np.int32),
        tokens=generator.integers(4, 100, count).astype(np.int32),
        offsets=np.arange(count + 1),
    )


def identity(of: Reviews, key: bytes = KEY) -> DataIdentity:
    return identify.identify(of, key=key, partition_key_id="partition")


def test_order_copies_categories_stars_and_tokens_change_nothing() -> None:
    whole = reviews(500)
    shuffled = whole.select(np.random.default_rng(1).permutation(500))
    copied = Reviews.concatenate([whole, whole])
    recoded = replace(whole, category=whole.category * 0, stars=whole.stars * 0 + 1, tokens=whole.tokens * 0 + 5)
    for other in (shuffled, copied, recoded):
        assert identity(other).days == identity(whole).days


def test_nine_tenths_of_the_reviews_are_recognised_and_others_are_not() -> None:
    whole = reviews(3000, days=3)
    for seed in range(20):
        kept = np.sort(np.random.default_rng(seed).permutation(3000)[:2700])
        assert identity(whole).overlap(identity(whole.select(kept))) is Overlap.SAME
        assert identity(whole).overlap(identity(reviews(3000, days=3, seed=seed + 1))) is Overlap.DIFFERENT


def test_a_sketch_is_bounded_by_day_and_as_a_whole() -> None:
    day = identity(reviews(2000))
    assert [len(sketch.hashes) for sketch in day.days.values()] == [identify.MOST_ENTRIES_A_DAY]
    years = identity(reviews(200_000, days=4000))
    assert sum(len(sketch.hashes) for sketch in years.days.values()) <= identify.MOST_ENTRIES
    assert len(years.to_text()) < 700_000  # an object of a cluster holds about 1.5 MB


def test_without_the_key_no_guess_can_be_tested() -> None:
    whole = reviews(100)
    mine, guessed = identity(whole), identity(whole, bytes(32))
    assert mine.key_id != guessed.key_id
    for day, sketch in mine.days.items():
        assert not sketch.shares_with(guessed.days[day])


def test_the_name_of_an_identity_says_nothing_of_the_data() -> None:
    assert identity(reviews(5)).id != identity(reviews(5)).id
