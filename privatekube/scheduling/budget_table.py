"""Budgets of blocks as arrays: one row per block or demand, one column per component of a budget.

A component is epsilon, delta, or one Renyi order. A component that a budget does not have is NaN: it never fits, and it
stays NaN in every subtraction. Both components of an epsilon-delta block must fit a demand, but only one order of a
Renyi block; that is the only difference between the two. The arithmetic is that of `privacy.budget`, operation by
operation, so that both always agree.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from privatekube.privacy import rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

_EPSILON_DELTA: tuple[float, ...] = (-2.0, -1.0)  # represent epsilon and delta, and sort before all orders


class BudgetColumns:
    """Maps the components of budgets to columns; orders that differ by float rounding only share a column."""

    def __init__(self, budgets: Iterable[PrivacyBudget]) -> None:
        kinds = {components(budget) for budget in budgets}
        self._columns: dict[float, int] = {}
        previous: float | None = None
        for component in sorted({component for kind in kinds for component in kind}):
            if previous is None or previous < 0 or not rounding.is_same_order(previous, component):
                self._columns[component] = len(set(self._columns.values()))
                previous = component
            else:
                self._columns[component] = self._columns[previous]
        self._columns_of_kind: dict[tuple[float, ...], Integers] = {}
        self.count = max(self._columns.values(), default=-1) + 1

    def rows(self, budgets: Iterable[PrivacyBudget]) -> Floats:
        """Return the budgets as rows `[n, K]`; components without a column are left out."""
        budgets = list(budgets)
        rows = np.full((len(budgets), self.count), np.nan)
        for row, budget in enumerate(budgets):
            columns = self._columns_of(components(budget))
            present = columns >= 0
            rows[row, columns[present]] = np.asarray(budget.values)[present]
        return rows

    def budget(self, row: Floats, like: PrivacyBudget) -> PrivacyBudget:
        """Return one row as a budget with the components of `like`."""
        values = row[self._columns_of(components(like))].tolist()
        return RenyiCurve(like.orders, tuple(values)) if isinstance(like, RenyiCurve) else EpsilonDelta(*values)

    def _columns_of(self, kind: tuple[float, ...]) -> Integers:
        if kind not in self._columns_of_kind:
            columns = [self._column(component) for component in kind]
            self._columns_of_kind[kind] = np.array(columns, dtype=np.int64)
        return self._columns_of_kind[kind]

    def _column(self, component: float) -> int:
        if component in self._columns:
            return self._columns[component]
        close = (column for known, column in self._columns.items() if rounding.is_same_order(known, component))
        return next(close, -1)


def components(budget: PrivacyBudget) -> tuple[float, ...]:
    """Return numbers that identify the components of a budget: its orders, or two numbers below all orders."""
    return budget.orders or _EPSILON_DELTA


class BudgetTable:
    """The budgets of all blocks.

    Args:
        capacity: initial budgets `[B, K]`; `pending` and `available` likewise.
        required: how many components must fit a demand `[B]`: two for epsilon-delta, one for Renyi.

    Attributes:
        ceiling: the largest demand that fits, for each component `[B, K]`.
    """

    def __init__(self, *, capacity: Floats, pending: Floats, available: Floats, required: Integers) -> None:
        self.capacity, self.pending, self.available, self.required = capacity, pending, available, required
        self._tolerance = rounding.RELATIVE_TOLERANCE * np.abs(capacity)
        none = np.where(required == 1, -np.inf, 0.0)[:, None]  # nothing fits a Renyi order without capacity
        self._limit = np.where(capacity > 0, np.inf, none)
        self.ceiling = np.minimum(available + self._tolerance, self._limit)

    @classmethod
    def from_budgets(
        cls,
        columns: BudgetColumns,
        *,
        capacity: list[PrivacyBudget],
        pending: list[PrivacyBudget],
        available: list[PrivacyBudget],
    ) -> BudgetTable:
        """Return a table of the initial, pending and available budgets of the same blocks."""
        required = np.array([1 if budget.orders else len(_EPSILON_DELTA) for budget in capacity], dtype=np.int64)
        rows = [columns.rows(budgets) for budgets in (capacity, pending, available)]
        return cls(capacity=rows[0], pending=rows[1], available=rows[2], required=required)

    def fits(self, rows: Integers | int, demands: Floats) -> Booleans:
        """Return whether each demand `[n, K]` fits its block `[n]`, or one block for all; like `budget.admits`."""
        fitting = np.add.reduce(demands <= self.ceiling[rows], axis=1, dtype=np.intp)
        return np.asarray(fitting >= self.required[rows])

    def could_fit(self, rows: Integers, demands: Floats) -> Booleans:
        """Return whether each demand `[n, K]` would fit its block `[n]` if all of the block's budget were available."""
        most = np.minimum(self.capacity[rows] + self._tolerance[rows], self._limit[rows])
        return np.asarray(np.add.reduce(demands <= most, axis=1, dtype=np.intp) >= self.required[rows])

    def leaves_enough(self, rows: Integers, demands: Floats) -> bool:
        """Return whether all of these demands `[n, K]` certainly fit one after another.

        Availability only falls, so a component that is not negative at the end never was. The check is sufficient,
        not necessary: it may return False although the demands fit.
        """
        touched, positions = np.unique(rows, return_inverse=True)
        before = self.available[touched]
        left = before.copy()
        np.subtract.at(left, positions, demands)
        limit = self._limit[touched]
        enough = np.count_nonzero((left >= 0) & ((limit > 0) | ((limit == 0) & (left == before))), axis=1)
        return bool((enough >= self.required[touched]).all())

    def subtract(self, rows: Integers, demands: Floats) -> None:
        """Subtract demands from the available budgets of distinct rows."""
        self.available[rows] -= demands
        self._set_ceiling(rows)

    def subtract_in_order(self, rows: Integers, demands: Floats) -> None:
        """Subtract demands from the available budgets, one after another; a row may occur more than once."""
        np.subtract.at(self.available, rows, demands)
        self._set_ceiling(rows)

    def unlock(self, rows: Integers, amounts: Floats) -> None:
        """Move amounts from pending to available on distinct rows."""
        self.pending[rows] -= amounts
        self.available[rows] += amounts
        self._set_ceiling(rows)

    def _set_ceiling(self, rows: Integers) -> None:
        self.ceiling[rows] = np.minimum(self.available[rows] + self._tolerance[rows], self._limit[rows])

    def shares(self, rows: Integers, demands: Floats) -> Floats:
        """Return the dominant share of each demand `[n]`: its largest fraction of its block's capacity.

        The share is infinite where an epsilon-delta demand needs a component without capacity. Renyi orders without
        capacity are skipped.
        """
        capacity = self.capacity[rows]
        is_empty = capacity <= 0
        fractions = np.divide(demands, capacity, where=~is_empty, out=np.zeros_like(demands))
        needs_both = self.required[rows] > 1
        fractions[is_empty & (demands > 0) & needs_both[:, None]] = np.inf
        return np.asarray(np.fmax.reduce(fractions, axis=1, initial=0.0))

    def used_shares(self, amounts: Floats) -> Floats:
        """Return amounts `[B, K]` as fractions of capacity `[B]`; like `arithmetic.used_share`."""
        fractions = amounts / np.where(self.capacity > 0, self.capacity, np.nan)
        largest, smallest = np.fmax.reduce(fractions, axis=1), np.fmin.reduce(fractions, axis=1)
        return np.asarray(np.nan_to_num(np.where(self.required > 1, largest, smallest)))
