"""Budgets for people: one short form, at one order, with digits that show a difference."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from privatekube.privacy import arithmetic, budget, budget_text, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from tests.privacy.test_budget import amounts, curves, pairs

orders = st.sampled_from(budget.STANDARD_ORDERS)
ONE_AMOUNT = re.compile(r"epsilon \S+, delta \S+|renyi \S+ at order \S+")


def test_renyi_budgets_are_shown_at_the_order_at_which_most_such_prices_fit() -> None:
    left, price = RenyiCurve((2, 8, 64), (0.0, 6.0, 9.0)), RenyiCurve((2, 8, 64), (0.05, 0.1, 3.0))
    assert str(left) == "renyi 9 at order 64"
    assert budget_text.at_best_order(left, price=price, left=left) == "renyi 6 at order 8"
    assert budget_text.at_best_order(price, price=price, left=left) == "renyi 0.1 at order 8"


def test_epsilon_and_delta_are_shown_as_they_are() -> None:
    pair = EpsilonDelta(1.0, 1e-9)
    assert budget_text.at_best_order(pair, price=pair, left=pair) == str(pair) == "epsilon 1, delta 1e-09"


@given(st.one_of(pairs, curves))
def test_a_budget_in_a_message_is_one_epsilon_and_never_a_whole_curve(amount: PrivacyBudget) -> None:
    assert ONE_AMOUNT.fullmatch(f"{amount}")


@given(pairs, pairs)
def test_a_demand_that_does_not_fit_reads_unlike_what_is_left(asked: EpsilonDelta, left: EpsilonDelta) -> None:
    assume(not left.admits(asked, capacity=left))
    require_distinct(*budget_text.asked_and_left(asked, left))


@given(st.lists(st.tuples(orders, amounts, st.floats(1e-9, 1.0)), min_size=1, unique_by=lambda row: row[0]))
def test_a_renyi_demand_that_does_not_fit_reads_unlike_what_is_left_at_one_order(
    rows: list[tuple[float, float, float]],
) -> None:
    left = RenyiCurve.from_pairs((order, amount) for order, amount, _ in rows)
    asked = RenyiCurve.from_pairs((order, amount * (1 + excess) + excess) for order, amount, excess in rows)
    assert not left.admits(asked, capacity=left)
    require_distinct(*budget_text.asked_and_left(asked, left))


def require_distinct(asked: str, left: str) -> None:
    """Check that both are one amount, at the same order, and differ."""
    assert ONE_AMOUNT.fullmatch(asked)
    assert ONE_AMOUNT.fullmatch(left)
    assert asked != left
    assert asked.partition(" at order ")[2] == left.partition(" at order ")[2]


@given(st.one_of(pairs, curves), st.one_of(pairs, curves))
def test_budgets_that_are_not_the_same_read_differently(first: PrivacyBudget, second: PrivacyBudget) -> None:
    assume(not arithmetic.is_close(first, second))
    one, other = budget_text.differing(first, second)
    assert one != other


def test_a_difference_is_shown_where_it_is() -> None:
    first, second = RenyiCurve((2, 8, 64), (1.0, 6.0, 9.0)), RenyiCurve((2, 8, 64), (0.5, 6.0, 9.0))
    assert budget_text.differing(first, second) == ("renyi 1 at order 2", "renyi 0.5 at order 2")
    assert budget_text.differing(None, first) == ("nothing", "renyi 9 at order 64")


@given(st.one_of(pairs, curves), st.one_of(pairs, curves))
def test_lifetime_budgets_that_are_not_the_same_read_differently(first: PrivacyBudget, second: PrivacyBudget) -> None:
    assume(not arithmetic.is_close(first, second))
    one, other = budget_text.differing_lifetimes(first, second)
    assert one != other


def test_renyi_budgets_with_one_guarantee_are_told_apart_at_an_order() -> None:
    known, asked = (renyi_filter.capacity(EpsilonDelta(10, delta)) for delta in (1e-9, 1e-7))
    assert all(re.fullmatch(r"renyi \S+ at order \S+", text) for text in budget_text.differing_lifetimes(known, asked))


def test_a_renyi_budget_without_capacity_is_described_all_the_same() -> None:
    known, asked = renyi_filter.capacity(EpsilonDelta(10, 1e-7)), RenyiCurve((2, 4), (0.0, 0.0))
    assert budget_text.differing_lifetimes(known, asked)[1] == "renyi 0 at order 2"


@pytest.mark.parametrize(("more", "shown"), [(0.5, "1.5"), (1e-5, "1.00001"), (1e-8, "1.00000001")])
def test_as_many_digits_are_shown_as_the_difference_needs(more: float, shown: str) -> None:
    asked, left = budget_text.asked_and_left(EpsilonDelta(1 + more), EpsilonDelta(1.0))
    assert (asked, left) == (f"epsilon {shown}, delta 0", "epsilon 1, delta 0")
