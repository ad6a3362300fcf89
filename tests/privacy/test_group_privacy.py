"""The group privacy bound: exact where it can be, never below the exact figure, none where it says nothing."""

from __future__ import annotations

import math

import hypothesis
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant
from hypothesis import strategies

from privatekube import errors
from privatekube.privacy import group_privacy


@hypothesis.given(
    epsilon=strategies.floats(0.01, 5), delta=strategies.floats(1e-12, 1e-6), size=strategies.integers(1, 20)
)
def test_it_is_the_sum_that_the_proof_of_the_lemma_gives(epsilon: float, delta: float, size: int) -> None:
    exact = delta * math.fsum(math.exp(step * epsilon) for step in range(size))
    bound = group_privacy.delta_of_group(epsilon, delta, size=size)
    if bound is None:
        assert exact >= 1 - 1e-9
    else:
        assert bound == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("noise_multiplier", [2.0, 5.0])
def test_a_gaussian_that_a_group_moves_k_times_as_far_needs_no_more_than_the_bound(
    noise_multiplier: float, size: int
) -> None:
    delta = 1e-6
    one = pld_privacy_accountant.PLDAccountant().compose(dp_event.GaussianDpEvent(noise_multiplier))
    group = pld_privacy_accountant.PLDAccountant().compose(dp_event.GaussianDpEvent(noise_multiplier / size))
    epsilon = one.get_epsilon(delta)
    bound = group_privacy.delta_of_group(epsilon, delta, size=size)
    assert bound is not None
    assert group.get_delta(size * epsilon) <= bound


def test_without_delta_a_group_has_none_which_is_exact_for_laplace_noise() -> None:
    assert group_privacy.delta_of_group(0.5, 0.0, size=4) == 0.0
    group = pld_privacy_accountant.PLDAccountant().compose(dp_event.LaplaceDpEvent(2.0 / 4))
    assert group.get_delta(4 * 0.5 + 1e-3) == pytest.approx(0.0, abs=1e-9)
    assert group.get_delta(4 * 0.5 - 0.1) > 0.01


def test_a_bound_of_one_or_more_is_none_and_large_groups_do_not_overflow() -> None:
    assert group_privacy.delta_of_group(8.0, 1e-9, size=5) is None
    assert group_privacy.delta_of_group(100.0, 1e-300, size=1_000_000) is None


@pytest.mark.parametrize(("epsilon", "delta", "size"), [(0.0, 0.1, 1), (1.0, 1.0, 1), (1.0, -0.1, 1), (1.0, 0.1, 0)])
def test_parameters_out_of_bounds_are_refused(epsilon: float, delta: float, size: int) -> None:
    with pytest.raises(errors.InvalidInput):
        group_privacy.delta_of_group(epsilon, delta, size=size)
