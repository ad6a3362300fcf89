"""The algebra of budgets: spec section 2 and the unit cases of the acceptance file."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve

amounts = st.floats(0, 1e3, allow_subnormal=False)
pairs = st.builds(EpsilonDelta, amounts, st.floats(0, 1, allow_subnormal=False))
orders = st.lists(st.sampled_from(budget.STANDARD_ORDERS), min_size=1, unique=True)
curves = orders.flatmap(
    lambda alphas: st.lists(amounts, min_size=len(alphas), max_size=len(alphas)).map(
        lambda epsilons: RenyiCurve(tuple(alphas), tuple(epsilons))
    )
)


def test_only_common_orders_survive_an_addition() -> None:
    left = RenyiCurve.from_pairs([(1.5, 10.0), (6, 9.0), (1048576, 3.0)])
    right = RenyiCurve.from_pairs([(1.5, 10.0), (8, 7.0), (777, 5.0), (1048576, 3.0)])
    assert (left + right).as_pairs() == ((1.5, 20.0), (1048576, 6.0))


def test_orders_that_differ_by_float_rounding_are_the_same_order() -> None:
    left = RenyiCurve.from_pairs([(1.5, 10.0), (6, 9.0), (1048576, 3.0)])
    right = RenyiCurve.from_pairs([(1.5, 8.5), (6.000000000000001, 7.0), (8, 7.0), (1048576, 4.0)])
    assert (left - right).as_pairs() == ((1.5, 1.5), (6.0, 2.0), (1048576, -1.0))


@given(pairs, pairs)
def test_what_was_added_can_be_taken_away_again_exactly(held: EpsilonDelta, more: EpsilonDelta) -> None:
    total = held + more
    left = total - held
    assert total.admits(held, capacity=total)
    assert left.admits(more, capacity=total)


@given(pairs, st.floats(1e-9, 1.0))
def test_more_than_what_is_left_never_fits(left: EpsilonDelta, excess: float) -> None:
    asked = EpsilonDelta(left.epsilon * (1 + excess) + 1e-9, left.delta)
    assert not left.admits(asked, capacity=left)


@given(st.integers(2, 400), st.floats(0.01, 100))
def test_the_last_of_many_equal_pieces_is_an_exact_fit(pieces: int, whole: float) -> None:
    capacity = EpsilonDelta(whole, 1e-7)
    piece, left = capacity * (1 / pieces), capacity
    for _ in range(pieces):
        assert left.admits(piece, capacity=capacity)
        left = left - piece
    assert not left.admits(piece, capacity=capacity)


def test_both_components_must_fit() -> None:
    left = EpsilonDelta(1, 1e-9)
    assert not left.admits(EpsilonDelta(0.1, 1e-8), capacity=left)
    assert not left.admits(EpsilonDelta(1.1, 1e-10), capacity=left)


def test_one_fitting_order_is_enough() -> None:
    left = RenyiCurve((2, 4), (-5.0, 1.0))
    capacity = RenyiCurve((2, 4), (1.0, 1.0))
    assert left.admits(RenyiCurve((2, 4), (3.0, 1.0)), capacity=capacity)
    assert not left.admits(RenyiCurve((2, 4), (0.0, 1.1)), capacity=capacity)


def test_an_order_without_capacity_fits_nothing_positive_and_has_no_share() -> None:
    capacity = RenyiCurve((2, 4), (0.0, 1.0))
    demand = RenyiCurve((2, 4), (1e-15, 0.5))
    assert not RenyiCurve((2, 4), (0.0, 0.0)).admits(demand, capacity=capacity)
    assert demand.share_of(capacity) == (0.5,)


@given(curves)
def test_a_curve_always_fits_itself_where_it_has_capacity(curve: RenyiCurve) -> None:
    assert curve.admits(curve, capacity=curve) == any(value > 0 for value in curve.values)


def test_a_curve_that_is_0_where_there_is_no_capacity_does_not_fit_for_that() -> None:
    capacity = RenyiCurve((2, 4), (0.0, 1.0))
    assert capacity.admits(RenyiCurve((2, 4), (0.0, 1.0)), capacity=capacity)
    assert not RenyiCurve((2, 4), (0.0, 0.5)).admits(RenyiCurve((2, 4), (0.0, 1.0)), capacity=capacity)


def test_types_never_mix() -> None:
    with pytest.raises(errors.InvalidBudget, match="types do not match"):
        EpsilonDelta(1) + RenyiCurve((2,), (1.0,))
    with pytest.raises(errors.InvalidBudget, match="types do not match"):
        RenyiCurve((2,), (1.0,)).admits(EpsilonDelta(1), capacity=RenyiCurve((2,), (1.0,)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_budget_is_finite(value: float) -> None:
    with pytest.raises(errors.InvalidBudget):
        EpsilonDelta(value)
    with pytest.raises(errors.InvalidBudget):
        RenyiCurve((2,), (value,))


@pytest.mark.parametrize("alphas", [(), (1.0,), (0.5,), (2, 2), (2, 2.0000000001), (math.nan,)])
def test_orders_are_above_one_and_distinct(alphas: tuple[float, ...]) -> None:
    with pytest.raises(errors.InvalidBudget):
        RenyiCurve(alphas, tuple(1.0 for _ in alphas))


def test_curves_without_a_common_order_cannot_be_combined() -> None:
    with pytest.raises(errors.InvalidBudget, match="none in common"):
        RenyiCurve((2,), (1.0,)) + RenyiCurve((3,), (1.0,))


@pytest.mark.parametrize("amount", [EpsilonDelta(1.1e16), EpsilonDelta(0.1, 1.7e308), RenyiCurve((2, 3), (1, 1.7e308))])
def test_an_amount_whose_multiples_could_overflow_is_refused_by_name_and_value(amount: PrivacyBudget) -> None:
    with pytest.raises(errors.InvalidBudget, match=r"demand: 1.\de\+\d+ is above 1e\+15; give smaller amounts"):
        budget.require_amount("demand", amount)
    assert budget.require_amount("demand", EpsilonDelta(budget.LARGEST_AMOUNT)) == EpsilonDelta(1e15)


def test_a_negative_amount_is_refused_by_name_and_value() -> None:
    with pytest.raises(errors.InvalidBudget, match=r"demand: -0.5 is negative"):
        budget.require_amount("demand", EpsilonDelta(-0.5))
