"""Budgets as rows of numbers, one column per component: epsilon and delta, and each Renyi order.

A budget that lacks a component has NaN there. NaN fits nothing, and what is subtracted or added with it stays NaN: an
order that a cost does not know is gone for good. So both types of accounting, even side by side, are one arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.privacy.rounding import is_same_order

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which component each column stands for.

    Args:
        epsilon_delta: whether the first two columns are epsilon and delta.
        orders: the Renyi orders of the other columns, in increasing order.
    """

    epsilon_delta: bool
    orders: tuple[float, ...]

    @classmethod
    def of(cls, capacities: Iterable[PrivacyBudget]) -> Columns:
        """The columns that these budgets need.

        >>> Columns.of([RenyiCurve((2, 4), (1.0, 1.0)), RenyiCurve((4, 8), (1.0, 1.0))]).orders
        (2.0, 4.0, 8.0)
        """
        listed = list(capacities)
        orders: list[float] = []
        for order in sorted({order for orders in {each.orders for each in listed} for order in orders}):
            if not orders or not is_same_order(orders[-1], order):
                orders.append(order)
        return cls(any(isinstance(each, EpsilonDelta) for each in listed), tuple(orders))

    @property
    def width(self) -> int:
        """How many columns there are."""
        return 2 * self.epsilon_delta + len(self.orders)

    def rows(self, budgets: Sequence[PrivacyBudget]) -> Floats:
        """One row per budget, [len(budgets), width]; what has no column is left out."""
        table = np.full((len(budgets), self.width), np.nan)
        alike: dict[tuple[type, tuple[float, ...]], list[int]] = defaultdict(list)
        for number, each in enumerate(budgets):
            alike[type(each), each.orders].append(number)
        for (_, orders), numbers in alike.items():
            columns = self._columns(orders)
            taken = [place for place, column in enumerate(columns) if column is not None]
            values = np.array([budgets[number].values for number in numbers])
            table[np.ix_(numbers, [columns[place] for place in taken])] = values[:, taken]
        return table

    def budget(self, row: Floats) -> PrivacyBudget:
        """The budget that a row stands for.

        >>> columns = Columns(epsilon_delta=False, orders=(2.0, 4.0))
        >>> columns.budget(columns.rows([RenyiCurve((2, 4), (0.5, 1.0))])[0])
        RenyiCurve(orders=(2.0, 4.0), epsilons=(0.5, 1.0))
        """
        if self.epsilon_delta and not np.isnan(row[0]):
            return EpsilonDelta(float(row[0]), float(row[1]))
        values = row[2 * self.epsilon_delta :].tolist()
        return RenyiCurve.from_pairs((a, e) for a, e in zip(self.orders, values, strict=True) if e == e)  # noqa: PLR0124 - no NaN

    def names(self) -> tuple[str, ...]:
        """What to call each column in a message."""
        return (*(("epsilon", "delta") if self.epsilon_delta else ()), *(f"order {order:g}" for order in self.orders))

    def _columns(self, orders: tuple[float, ...]) -> list[int | None]:
        """The column of each component of a budget with these orders; None where it has none."""
        if not orders:
            return [0, 1] if self.epsilon_delta else [None, None]
        first = 2 * self.epsilon_delta
        return [
            next((first + column for column, known in enumerate(self.orders) if is_same_order(known, order)), None)
            for order in orders
        ]
