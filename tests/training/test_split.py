from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.training import split

USERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40).map(lambda users: np.array(users, dtype=np.int64))
FRACTIONS = st.floats(0.01, 0.99)


@given(users=USERS, added=st.integers(-(2**63), 2**63 - 1), place=st.integers(0, 40), fraction=FRACTIONS)
def test_adding_or_removing_a_record_moves_no_other(users: np.ndarray, added: int, place: int, fraction: float) -> None:
    place = min(place, len(users))
    more = np.insert(users, place, added)
    assert np.array_equal(np.delete(split.is_test(more, fraction), place), split.is_test(users, fraction))


@given(users=USERS, fraction=FRACTIONS, seed=st.integers(0, 100))
def test_the_order_of_records_does_not_matter_and_a_user_is_in_one_part(
    users: np.ndarray, fraction: float, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(np.concatenate([users, users]).size) % max(1, len(users))
    assert np.array_equal(split.is_test(users[order], fraction), split.is_test(users, fraction)[order])


def test_the_fraction_is_the_share_of_users() -> None:
    users = np.arange(50_000)
    assert abs(split.is_test(users, 0.2).mean() - 0.2) < 0.02
    assert split.is_test(users, 0.1)[split.is_test(users, 0.05)].all()  # a larger test part contains a smaller one


def test_the_users_that_score_a_search_are_the_same_share_of_those_held_out_and_of_the_others() -> None:
    users = np.arange(50_000)
    is_test, is_scored = split.is_test(users, 0.2), split.is_validation(users, 0.2)
    assert abs(is_scored[is_test].mean() - 0.2) < 0.03
    assert abs(is_scored[~is_test].mean() - 0.2) < 0.02


def test_the_split_is_fixed_for_good() -> None:
    assert np.flatnonzero(split.is_test(np.arange(40), 0.2)).tolist() == [0, 3, 9, 26, 30, 33, 38, 39]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_a_fraction_outside_zero_to_one_is_refused(fraction: float) -> None:
    with pytest.raises(errors.InvalidInput, match="test_fraction"):
        split.is_test(np.arange(3), fraction)
