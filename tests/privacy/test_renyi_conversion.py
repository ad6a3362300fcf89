"""The conversions of Canonne, Kamath and Steinke, and of PrivateKube."""

from __future__ import annotations

import math

import pytest
from dp_accounting.rdp import rdp_privacy_accountant
from hypothesis import given
from hypothesis import strategies as st

from privatekube.privacy import renyi_conversion
from privatekube.privacy.budget import EpsilonDelta

orders = st.floats(1.1, 1e6)
deltas = st.floats(1e-300, 0.5)


@given(st.floats(0.1, 50), st.sampled_from((1.5, 2.5, 8, 64)), st.floats(1e-15, 1e-3))
def test_epsilon_is_that_of_an_independent_accountant(rho: float, order: float, delta: float) -> None:
    expected, _ = rdp_privacy_accountant.compute_epsilon([order], [rho], delta)
    assert renyi_conversion.epsilon(rho, order=order, delta=delta) == pytest.approx(expected, rel=1e-9)


@given(st.floats(1e-3, 100), orders, deltas)
def test_the_three_forms_are_inverse_to_each_other(rho: float, order: float, delta: float) -> None:
    epsilon = renyi_conversion.epsilon(rho, order=order, delta=delta)
    if epsilon > 0:
        assert renyi_conversion.renyi_epsilon(epsilon, order=order, delta=delta) == pytest.approx(rho, abs=1e-9)
        again = renyi_conversion.delta(rho, order=order, epsilon=epsilon)
        assert math.log(again) == pytest.approx(math.log(delta), abs=1e-6)


@given(st.floats(0, 100), orders, deltas)
def test_it_never_says_more_than_the_older_conversion(rho: float, order: float, delta: float) -> None:
    older = rho - math.log(delta) / (order - 1)
    assert renyi_conversion.epsilon(rho, order=order, delta=delta) <= older + 1e-9


def test_privatekubes_form_follows_mironov_and_is_never_negative() -> None:
    curve = renyi_conversion.to_renyi(EpsilonDelta(5, 1e-4), (3, 4, 64, 1e6))
    assert curve.values == pytest.approx((0.3948298140119091, 1.929886542674606, 4.853804121079743, 5.0), abs=1e-12)
    assert renyi_conversion.to_renyi(EpsilonDelta(0.1, 1e-9), (2,)).values == (0.0,)
