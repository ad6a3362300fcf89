"""Sketches of data: a renamed, re-cut or thinned copy is recognised, another source is not, and doubt is said."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from privatekube import errors
from privatekube.resources.data_identity import ALL, DataIdentity, DaySketch, Overlap

K = 32


def sketch(hashes: np.ndarray, most: int = K) -> DaySketch:
    """Return the bottom-k sketch of a day's record hashes."""
    smallest = sorted({int(value) for value in hashes})
    return DaySketch(tuple(smallest[:most]), ALL if len(smallest) <= most else smallest[most])


def identity(name: str, *days: np.ndarray) -> DataIdentity:
    return DataIdentity(name, "key", "partition", {day: sketch(hashes) for day, hashes in enumerate(days)})


def records(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, ALL, count, dtype=np.uint64, endpoint=False)


@hypothesis.given(seed=st.integers(0, 2**32), count=st.integers(1, 400), thinned=st.floats(0.0, 0.1))
def test_a_thinned_copy_is_never_another_source(seed: int, count: int, thinned: float) -> None:
    whole = records(count, seed)
    kept = whole[: max(1, round(count * (1 - thinned)))]  # hashes are random, so any tenth is like another
    assert identity("a", whole).overlap(identity("b", kept)) is Overlap.SAME
    assert identity("b", kept).overlap(identity("a", whole)) is Overlap.SAME


@hypothesis.given(seed=st.integers(0, 2**32), count=st.integers(0, 400), share=st.floats(0.01, 1.0))
def test_a_part_of_any_size_is_never_told_apart(seed: int, count: int, share: float) -> None:
    whole = records(count, seed)
    part = whole[: round(count * share)]
    hypothesis.assume(len(part))
    assert identity("a", whole).overlap(identity("b", part)) is not Overlap.DIFFERENT


@pytest.mark.parametrize(("first", "second"), [(10, 10), (400, 1000), (1000, 1000), (1000, 3000)])
def test_other_records_are_another_source(first: int, second: int) -> None:
    assert identity("a", records(first, 1)).overlap(identity("b", records(second, 2))) is Overlap.DIFFERENT


def test_a_source_too_small_beside_a_large_one_cannot_be_told_apart() -> None:
    for few in (1, K, K + 1):
        assert identity("a", records(few, 1)).overlap(identity("b", records(100_000, 2))) is Overlap.UNKNOWN
    assert identity("a").overlap(identity("b", records(100_000, 2))) is Overlap.DIFFERENT


def test_hashes_under_other_keys_cannot_be_compared() -> None:
    one = identity("a", records(10, 1))
    for other in (replace(one, id="b", key_id="other"), replace(one, id="b", partition_key_id="other")):
        assert one.overlap(other) is Overlap.UNKNOWN


def test_days_decide_apart_and_together() -> None:
    monday, tuesday = records(1000, 1), records(1000, 2)
    week = identity("week", monday, tuesday)
    assert week.overlap(DataIdentity("t", "key", "partition", {1: sketch(tuesday)})) is Overlap.SAME
    assert week.overlap(DataIdentity("t", "key", "partition", {1: sketch(monday)})) is Overlap.DIFFERENT
    assert week.overlap(DataIdentity("t", "key", "partition", {2: sketch(records(9, 3))})) is Overlap.DIFFERENT


def test_an_identity_comes_back_as_it_was_stored() -> None:
    whole = identity("a", records(1000, 1), records(3, 2))
    assert DataIdentity.from_json("a", whole.to_json()) == whole
    compared = replace(whole, apart_from=frozenset({"hmac-sha256:1", "hmac-sha256:2"}))
    assert DataIdentity.from_json("a", compared.to_json()) == compared


@pytest.mark.parametrize("days", [{"x": {}}, {"0": {"limit": "1", "hashes": "AAAA"}}, {"0": {"limit": "0"}}, 3])
def test_a_damaged_identity_is_refused_in_one_line(days: object) -> None:
    with pytest.raises(errors.CorruptData, match="identity a: cannot be read"):
        DataIdentity.from_json("a", {"keyId": "k", "partitionKeyId": "p", "days": days})


@pytest.mark.parametrize(("hashes", "limit"), [((2, 1), ALL), ((1, 1), ALL), ((5,), 5), ((-1,), ALL)])
def test_a_sketch_is_ascending_and_below_its_limit(hashes: tuple[int, ...], limit: int) -> None:
    with pytest.raises(errors.InvalidInput, match="sketch"):
        DaySketch(hashes, limit)
