"""Blocks and demands as arrays: one row per block or demand, one column per component of a budget.

A component is epsilon, delta, or one Renyi order; a component that a budget does not have is NaN, which never fits and
stays NaN whatever is taken from it. An epsilon-delta block needs both of its components to fit, a Renyi block one: that
is all that tells them apart. The sums are those of `privacy.budget`, in the same order, so that both always agree.
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

_PAIR: tuple[float, ...] = (-2.0, -1.0)  # epsilon and delta, before all orders


class Columns:
    """Where each component of the given budgets stands."""

    def __init__(self, budgets: Iterable[PrivacyBudget]) -> None:
        kinds = {components(each) for each in budgets}
        self._places: dict[float, int] = {}
        previous: float | None = None
        for component in sorted({component for kind in kinds for component in kind}):
            if previous is None or previous < 0 or not rounding.is_same_order(previous, component):
                self._places[component] = len(set(self._places.values()))
                previous = component
            else:
                self._places[component] = self._places[previous]
        self._known: dict[tuple[float, ...], Integers] = {}
        self.count = max(self._places.values(), default=-1) + 1

    def rows(self, budgets: Iterable[PrivacyBudget]) -> Floats:
        """The budgets as rows `[n, K]`; components that no column has are left out."""
        each = list(budgets)
        filled = np.full((len(each), self.count), np.nan)
        for row, budget in enumerate(each):
            places = self._places_of(components(budget))
            kept = places >= 0
            filled[row, places[kept]] = np.asarray(budget.values)[kept]
        return filled

    def budget(self, row: Floats, like: PrivacyBudget) -> PrivacyBudget:
        """One row as a budget with the components of `like`."""
        values = row[self._places_of(components(like))].tolist()
        return RenyiCurve(like.orders, tuple(values)) if isinstance(like, RenyiCurve) else EpsilonDelta(*values)

    def _places_of(self, kind: tuple[float, ...]) -> Integers:
        if kind not in self._known:
            self._known[kind] = np.array([self._place(component) for component in kind], dtype=np.int64)
        return self._known[kind]

    def _place(self, component: float) -> int:
        if component in self._places:
            return self._places[component]
        near = (place for known, place in self._places.items() if rounding.is_same_order(known, component))
        return next(near, -1)


def components(budget: PrivacyBudget) -> tuple[float, ...]:
    """What tells the components of a budget apart: its orders, or two numbers that are no orders."""
    return budget.orders or _PAIR


class Table:
    """The blocks' budgets.

    Args:
        capacity: initial budgets `[B, K]`; `pending` and `available` likewise.
        required: how many components must fit `[B]`: two for epsilon-delta, one for Renyi.

    `ceiling` is the largest demand that fits, for each component `[B, K]`.
    """

    def __init__(self, *, capacity: Floats, pending: Floats, available: Floats, required: Integers) -> None:
        self.capacity, self.pending, self.available, self.required = capacity, pending, available, required
        self._tolerance = rounding.ROUNDING * np.abs(capacity)
        self._limit = np.where(capacity > 0, np.inf, 0.0)  # an order of no capacity has room for nothing only
        self.ceiling = np.minimum(available + self._tolerance, self._limit)

    @classmethod
    def of(
        cls, columns: Columns, wholes: list[PrivacyBudget], pending: list[PrivacyBudget], free: list[PrivacyBudget]
    ) -> Table:
        """A table of budgets: initial, pending and available ones of the same blocks."""
        required = np.array([1 if whole.orders else len(_PAIR) for whole in wholes], dtype=np.int64)
        rows = [columns.rows(each) for each in (wholes, pending, free)]
        return cls(capacity=rows[0], pending=rows[1], available=rows[2], required=required)

    def fits(self, rows: Integers | int, demands: Floats) -> Booleans:
        """Whether each demand `[n, K]` fits on its block `[n]`, or on one for all; `budget.admits` as arrays."""
        fitting = np.add.reduce(demands <= self.ceiling[rows], axis=1, dtype=np.intp)
        return np.asarray(fitting >= self.required[rows])

    def leaves_enough(self, rows: Integers, demands: Floats) -> bool:
        """Whether so much is left after all of these demands `[n, K]` that each fits where those before it are taken.

        As availability only falls, what is not overdrawn at the end never was. May be False though they fit.
        """
        touched, where = np.unique(rows, return_inverse=True)
        before = self.available[touched]
        left = before.copy()
        np.subtract.at(left, where, demands)
        enough = np.count_nonzero((left >= 0) & ((self._limit[touched] > 0) | (left == before)), axis=1)
        return bool((enough >= self.required[touched]).all())

    def take(self, rows: Integers, demands: Floats) -> None:
        """Subtract demands from what is available; the rows must differ."""
        self.available[rows] -= demands
        self._set_ceiling(rows)

    def take_in_turn(self, rows: Integers, demands: Floats) -> None:
        """Subtract demands from what is available, one after another."""
        np.subtract.at(self.available, rows, demands)
        self._set_ceiling(rows)

    def unlock(self, rows: Integers, amounts: Floats) -> None:
        """Move amounts from pending to available; the rows must differ."""
        self.pending[rows] -= amounts
        self.available[rows] += amounts
        self._set_ceiling(rows)

    def _set_ceiling(self, rows: Integers) -> None:
        self.ceiling[rows] = np.minimum(self.available[rows] + self._tolerance[rows], self._limit[rows])

    def shares(self, rows: Integers, demands: Floats) -> Floats:
        """The largest fraction of its block's capacity that each demand is `[n]`.

        Epsilon-delta: infinite where something is asked of a component without capacity. Renyi skips such orders.
        """
        whole = self.capacity[rows]
        none = whole <= 0
        fractions = np.divide(demands, whole, where=~none, out=np.zeros_like(demands))
        both = self.required[rows] > 1
        fractions[none & (demands > 0) & both[:, None]] = np.inf
        return np.asarray(np.fmax.reduce(fractions, axis=1, initial=0.0))
