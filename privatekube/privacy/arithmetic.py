"""Arithmetic over several budgets: align them at the orders of a block, add and compare them with one rounding.

The operators of one budget with another are in `budget`; a sum of many made with them would round once for each.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence

from privatekube import errors
from privatekube.privacy import budget, rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve


def at_orders_of(amount: PrivacyBudget, block: PrivacyBudget) -> PrivacyBudget:
    """Return an amount at the orders of a block's budget; the amount may be known at more.

    Raises:
        InvalidBudget: its type is another one, or an order is missing; the message names those that are.

    >>> at_orders_of(RenyiCurve((2, 4, 8), (0.5, 1.0, 2.0)), RenyiCurve((2, 8), (1.0, 3.0)))
    RenyiCurve(orders=(2.0, 8.0), epsilons=(0.5, 2.0))
    """
    if type(amount) is not type(block):
        raise budget.type_mismatch(block, amount)
    if isinstance(amount, EpsilonDelta) or amount.orders == block.orders:
        return amount
    values = {order: amount.at(order) for order in block.orders}
    missing = [f"{order:g}" for order, value in values.items() if value is None]
    if missing:
        raise errors.InvalidBudget(f"renyi: lacks the orders {', '.join(missing)} of the block; name all of its orders")
    return RenyiCurve(block.orders, tuple(value for value in values.values() if value is not None))


def union_of_orders(curves: Iterable[RenyiCurve]) -> tuple[float, ...]:
    """Return every order that one of the curves has, in increasing order; those that rounding tells apart are one.

    >>> union_of_orders([RenyiCurve((2, 4), (0.0, 0.0)), RenyiCurve((3, 4.000000000001), (0.0, 0.0))])
    (2.0, 3.0, 4.0)
    """
    union: list[float] = []
    for order in sorted(order for curve in curves for order in curve.orders):
        if not union or not rounding.is_same_order(union[-1], order):
            union.append(order)
    return tuple(union)


def total(budgets: Iterable[PrivacyBudget], *, start: PrivacyBudget) -> PrivacyBudget:
    """Return `start` plus all `budgets`, at the orders that all share; each component is rounded only once.

    Raises:
        InvalidBudget: the budgets differ in type, or share no order.
    """
    return _summed([start, *budgets], math.fsum)


def total_rounded_up(budgets: Sequence[PrivacyBudget]) -> PrivacyBudget:
    """Return the sum of budgets as `total` does, but never less than the exact sum.

    Raises:
        InvalidBudget: the budgets differ in type, or share no order.

    >>> total_rounded_up([EpsilonDelta(1.0), EpsilonDelta(1e-17)]).epsilon
    1.0000000000000002
    """
    return _summed(budgets, rounding.sum_rounded_up)


def remainder(whole: PrivacyBudget, parts: Iterable[PrivacyBudget]) -> PrivacyBudget:
    """Return what parts leave of `whole`; each component is rounded only once.

    Raises:
        InvalidBudget: a part has another type, or lacks an order.

    >>> remainder(EpsilonDelta(1.0), [EpsilonDelta(0.1)] * 3)
    EpsilonDelta(epsilon=0.7, delta=0.0)
    """
    kind, orders = type(whole), whole.orders
    values = [
        part.values if type(part) is kind and part.orders == orders else at_orders_of(part, whole).values
        for part in parts
    ]
    columns = zip(map(operator.neg, whole.values), *values, strict=True)
    left = [0.0 - total for total in map(math.fsum, columns)]
    return RenyiCurve(whole.orders, tuple(left)) if isinstance(whole, RenyiCurve) else EpsilonDelta(*left)


def _summed(parts: Sequence[PrivacyBudget], add: Callable[[Iterable[float]], float]) -> PrivacyBudget:
    first = parts[0]
    if len({(type(part), part.orders) for part in parts}) > 1:
        common = functools.reduce(operator.add, parts)  # raises where there is no common component
        parts = [at_orders_of(part, common) for part in parts]
    sums = [add(column) for column in zip(*(part.values for part in parts), strict=True)]
    return RenyiCurve(parts[0].orders, tuple(sums)) if isinstance(first, RenyiCurve) else EpsilonDelta(*sums)


def used_share(used: PrivacyBudget, *, capacity: PrivacyBudget) -> float:
    """Return how much of `capacity` is used, as a fraction.

    Both components of an epsilon-delta budget limit further use, so the larger fraction counts. A Renyi budget is used
    up only when all its orders are, so the smallest fraction counts.

    Raises:
        InvalidBudget: the types differ.

    >>> used_share(RenyiCurve((2, 4), (0.5, 0.5)), capacity=RenyiCurve((2, 4), (1.0, 2.0)))
    0.25
    """
    shares = used.share_of(capacity)
    return min(shares, default=0.0) if isinstance(capacity, RenyiCurve) else max(shares, default=0.0)


def is_negligible(amount: PrivacyBudget, *, capacity: PrivacyBudget) -> bool:
    """Return whether every component is zero up to float rounding of that component of `capacity`.

    Raises:
        InvalidBudget: `capacity` has another type, or lacks an order.

    >>> is_negligible(EpsilonDelta(0.0, 9e-12), capacity=EpsilonDelta(10.0, 1e-7))
    False
    """
    whole = at_orders_of(capacity, amount)
    return all(map(rounding.is_negligible, amount.values, whole.values))


def is_close(left: PrivacyBudget, right: PrivacyBudget) -> bool:
    """Return whether both have the same type, the same orders and the same values up to float rounding."""
    if type(left) is not type(right) or len(left.values) != len(right.values):
        return False
    same_orders = all(rounding.is_same_order(a, b) for a, b in zip(left.orders, right.orders, strict=True))
    return same_orders and all(rounding.is_same_value(a, b) for a, b in zip(left.values, right.values, strict=True))
