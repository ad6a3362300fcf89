"""Budgets in a few characters."""

from __future__ import annotations

from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources import summary


def test_renyi_budgets_are_shown_at_the_order_at_which_most_such_prices_fit() -> None:
    left, price = RenyiCurve((2, 8, 64), (0.0, 6.0, 9.0)), RenyiCurve((2, 8, 64), (0.05, 0.1, 3.0))
    assert summary.short(left) == "renyi 9 at order 64"
    assert summary.short_at_best_order(left, price=price, left=left) == "renyi 6 at order 8"
    assert summary.short_at_best_order(price, price=price, left=left) == "renyi 0.1 at order 8"


def test_epsilon_and_delta_are_shown_as_they_are() -> None:
    pair = EpsilonDelta(1.0, 1e-9)
    assert summary.short_at_best_order(pair, price=pair, left=pair) == "epsilon 1, delta 1e-09"
