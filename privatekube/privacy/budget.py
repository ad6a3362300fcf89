"""Privacy budgets: `EpsilonDelta` and `RenyiCurve`; `arithmetic` has what is computed from several of them.

A budget and the cost of a mechanism have the same types. Both are immutable, and all amounts are numbers without a
unit: epsilon and delta of differential privacy, or the Renyi epsilon at each order. Neighbouring data sets differ by
adding or removing one privacy unit; see `unit`.

Arithmetic is component by component. The result for two Renyi curves has the orders that both share: where a cost is
not known at an order, it is not known of the sum either. What is added to or taken from the budget of a block must
therefore name all of its orders, which `arithmetic.at_orders_of` checks: otherwise the block would lose an order
permanently. Budgets of different types cannot be combined.

Sources: Mironov, "Renyi Differential Privacy" (2017), Prop. 1 (composition);
Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4 (a demand needs to fit at one order only).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from privatekube import errors, html_table
from privatekube.privacy import rounding
from privatekube.privacy.orders import INFINITE_ORDER, sorted_positions

STANDARD_ORDERS: tuple[float, ...] = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64, INFINITE_ORDER)
"""The Renyi orders that are used when none are given."""


@dataclass(frozen=True, slots=True)
class EpsilonDelta:
    """An (epsilon, delta) budget or cost; basic composition adds both components.

    Args:
        epsilon: may be negative where the result of a subtraction is overdrawn.
        delta: likewise.

    Raises:
        InvalidBudget: a component is NaN or infinite.

    >>> EpsilonDelta(1.0, 1e-9) + EpsilonDelta(0.5)
    EpsilonDelta(epsilon=1.5, delta=1e-09)
    """

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise errors.InvalidBudget(f"{name}: {value!r} must be a finite number")
            object.__setattr__(self, name, float(value))

    @property
    def orders(self) -> tuple[float, ...]:
        """Return no orders: the two components are not Renyi epsilons."""
        return ()

    @property
    def values(self) -> tuple[float, ...]:
        """Return epsilon and delta."""
        return (self.epsilon, self.delta)

    def __add__(self, other: PrivacyBudget) -> EpsilonDelta:
        peer = _same_type(self, other)
        return EpsilonDelta(self.epsilon + peer.epsilon, self.delta + peer.delta)

    def __sub__(self, other: PrivacyBudget) -> EpsilonDelta:
        peer = _same_type(self, other)
        return EpsilonDelta(self.epsilon - peer.epsilon, self.delta - peer.delta)

    def __mul__(self, factor: float) -> EpsilonDelta:
        return EpsilonDelta(self.epsilon * factor, self.delta * factor)

    def minimum(self, other: PrivacyBudget) -> EpsilonDelta:
        """Return the smaller of both, component by component.

        Raises:
            InvalidBudget: `other` is a Renyi curve.
        """
        peer = _same_type(self, other)
        return EpsilonDelta(min(self.epsilon, peer.epsilon), min(self.delta, peer.delta))

    def admits(self, demand: PrivacyBudget, *, capacity: PrivacyBudget) -> bool:
        """Return whether `demand` fits this budget: both components must; an exact fit counts.

        Args:
            demand: the amount to fit.
            capacity: the initial budget of which this one is left; it scales the tolerance for float rounding.

        Raises:
            InvalidBudget: `demand` or `capacity` is a Renyi curve.

        >>> (EpsilonDelta(0.3) - EpsilonDelta(0.1)).admits(EpsilonDelta(0.2), capacity=EpsilonDelta(0.3))
        True
        """
        needed, initial = _same_type(self, demand), _same_type(self, capacity)
        components = zip(needed.values, self.values, initial.values, strict=True)
        return all(rounding.fits(amount, available=left, capacity=whole) for amount, left, whole in components)

    def share_of(self, capacity: PrivacyBudget) -> tuple[float, ...]:
        """Return this demand as fractions of `capacity`, without components that both lack.

        Raises:
            InvalidBudget: `capacity` is a Renyi curve.
        """
        initial = _same_type(self, capacity)
        return tuple(
            amount / whole if whole > 0 else math.inf
            for amount, whole in zip(self.values, initial.values, strict=True)
            if whole > 0 or amount > 0
        )

    def text(self, digits: int = 4) -> str:
        """Describe this budget with that many significant digits of epsilon, and two fewer of delta."""
        return f"epsilon {self.epsilon:.{digits}g}, delta {self.delta:.{digits - 2}g}"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return html_table.table(("epsilon", "delta"), [[f"{value:.6g}" for value in self.values]])


@dataclass(frozen=True, slots=True)
class RenyiCurve:
    """Renyi epsilons at fixed orders; composition adds at each order.

    Args:
        orders: the orders alpha, each above 1; they are sorted.
        epsilons: the Renyi epsilon at each order; may be negative where a block was overdrawn at that order.

    Raises:
        InvalidBudget: there are no orders, or not one epsilon for each; an order is not above 1, or given twice; an
            epsilon is not finite.

    >>> RenyiCurve((2, 4), (1.0, 3.0)) - RenyiCurve((2, 8), (0.5, 0.5))
    RenyiCurve(orders=(2.0,), epsilons=(0.5,))
    """

    orders: tuple[float, ...]
    epsilons: tuple[float, ...]

    def __post_init__(self) -> None:
        orders, epsilons = _floats("orders", self.orders), _floats("epsilons", self.epsilons)
        if not orders or len(orders) != len(epsilons):
            raise errors.InvalidBudget("renyi: needs at least one order, and one epsilon per order")
        if not all(map(math.isfinite, epsilons)):
            raise errors.InvalidBudget(f"epsilons: {epsilons} must be finite numbers")
        positions = sorted_positions(orders)
        if any(map(operator.gt, orders, orders[1:])):
            orders, epsilons = (tuple(values[position] for position in positions) for values in (orders, epsilons))
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "epsilons", epsilons)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[float, float]]) -> RenyiCurve:
        """Return the curve of (order, epsilon) pairs.

        Raises:
            InvalidBudget: see the class.
        """
        return cls(*(tuple(zip(*pairs, strict=True)) or ((), ())))

    @property
    def values(self) -> tuple[float, ...]:
        """Return the epsilons, one per order."""
        return self.epsilons

    def __add__(self, other: PrivacyBudget) -> RenyiCurve:
        return self._combined(other, operator.add)

    def __sub__(self, other: PrivacyBudget) -> RenyiCurve:
        return self._combined(other, operator.sub)

    def __mul__(self, factor: float) -> RenyiCurve:
        return RenyiCurve(self.orders, tuple(epsilon * factor for epsilon in self.epsilons))

    def minimum(self, other: PrivacyBudget) -> RenyiCurve:
        """Return the smaller of both at each common order.

        Raises:
            InvalidBudget: `other` is not a Renyi curve, or there is no common order.
        """
        return self._combined(other, min)

    def maximum(self, other: PrivacyBudget) -> RenyiCurve:
        """Return the larger of both at each common order: the cost of parallel composition.

        Raises:
            InvalidBudget: `other` is not a Renyi curve, or there is no common order.
        """
        return self._combined(other, max)

    def admits(self, demand: PrivacyBudget, *, capacity: PrivacyBudget) -> bool:
        """Return whether `demand` fits this budget at one common order at least; an exact fit counts.

        Nothing fits at an order at which the capacity is 0: a curve that is 0 there and positive elsewhere, which no
        mechanism has, would otherwise fit however often it is asked for.

        Args:
            demand: the amount to fit.
            capacity: the initial budget of which this one is left; it scales the tolerance for float rounding.

        Raises:
            InvalidBudget: `demand` or `capacity` is not a Renyi curve.

        >>> left, capacity = RenyiCurve((2, 4), (-1.0, 0.5)), RenyiCurve((2, 4), (1.0, 1.0))
        >>> left.admits(RenyiCurve((2, 4), (0.1, 0.5)), capacity=capacity)
        True
        """
        needed, initial = _same_type(self, demand), _same_type(self, capacity)
        return any(
            whole > 0 and rounding.fits(amount, available=left, capacity=whole)
            for _, left, amount, whole in _at_common_orders(self, needed, initial)
        )

    def share_of(self, capacity: PrivacyBudget) -> tuple[float, ...]:
        """Return this demand as fractions of `capacity`, at the common orders of positive capacity.

        Raises:
            InvalidBudget: `capacity` is not a Renyi curve.
        """
        initial = _same_type(self, capacity)
        return tuple(amount / whole for _, amount, whole in _at_common_orders(self, initial) if whole > 0)

    def at(self, alpha: float) -> float | None:
        """Return the epsilon at order `alpha`, or None if the curve does not have that order."""
        return next((epsilon for order, epsilon in self.as_pairs() if rounding.is_same_order(order, alpha)), None)

    def best_order(self) -> tuple[float, float]:
        """Return the finite order at which the epsilon is largest, and that epsilon.

        The infinite order counts only if the curve has no other.

        >>> RenyiCurve((2, 8, 1e6), (0.5, 3.0, 10.0)).best_order()
        (8.0, 3.0)
        """
        finite = [pair for pair in self.as_pairs() if pair[0] < INFINITE_ORDER]
        return max(finite or self.as_pairs(), key=lambda pair: pair[1])

    def as_pairs(self) -> tuple[tuple[float, float], ...]:
        """Return the (order, epsilon) pairs in increasing order."""
        return tuple(zip(self.orders, self.epsilons, strict=True))

    def _combined(self, other: PrivacyBudget, operation: Callable[[float, float], float]) -> RenyiCurve:
        peer = _same_type(self, other)
        if peer.orders == self.orders:
            return RenyiCurve(self.orders, tuple(map(operation, self.epsilons, peer.epsilons)))
        common = [(alpha, operation(a, b)) for alpha, a, b in _at_common_orders(self, peer)]
        if not common:
            raise errors.InvalidBudget(
                f"renyi: orders {self.orders} and {peer.orders} have none in common; use the same orders throughout"
            )
        return RenyiCurve.from_pairs(common)

    def text(self, digits: int = 4) -> str:
        """Describe this curve by its epsilon at the best finite order, see `best_order`, with that many digits."""
        return self.text_at(self.best_order()[0], digits)

    def text_at(self, alpha: float, digits: int = 4) -> str:
        """Describe this curve by its epsilon at an order `alpha` that it has, with that many significant digits."""
        return f"renyi {self.at(alpha):.{digits}g} at order {alpha:g}"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [(f"{order:g}", f"{epsilon:.6g}") for order, epsilon in self.as_pairs()]
        return html_table.table(("order", "renyi epsilon"), rows)


def _floats(name: str, values: Iterable[float]) -> tuple[float, ...]:
    try:
        return tuple(map(float, values))
    except (TypeError, ValueError):
        raise errors.InvalidBudget(f"{name}: {values!r} must be a list of numbers") from None


PrivacyBudget = EpsilonDelta | RenyiCurve
"""A budget or cost in either accounting."""

B = TypeVar("B", EpsilonDelta, RenyiCurve)


LARGEST_AMOUNT = 1e15
"""The largest component of an amount that a user states: no sum or multiple of such amounts comes near an overflow."""


def require_amount(name: str, budget: PrivacyBudget) -> PrivacyBudget:
    """Return `budget` if no component is negative or above `LARGEST_AMOUNT`.

    Args:
        name: what the message calls the budget.
        budget: the amount to check.

    Raises:
        InvalidBudget: a component is out of these bounds; the message has `name` and the value.
    """
    if (highest := max(budget.values)) > LARGEST_AMOUNT:
        raise errors.InvalidBudget(f"{name}: {highest!r} is above {LARGEST_AMOUNT:g}; give smaller amounts")
    if (lowest := min(budget.values)) < 0:
        raise errors.InvalidBudget(f"{name}: {lowest!r} is negative; give amounts of 0 or more")
    return budget


def type_mismatch(budget: PrivacyBudget, other: object) -> errors.InvalidBudget:
    """Return the error that two budgets of different types cannot be combined."""
    return errors.InvalidBudget(
        f"budget types do not match: {type(budget).__name__} and {type(other).__name__}; "
        "use the same accounting throughout"
    )


def _same_type(budget: B, other: object) -> B:
    """Return `other` if it has the type of `budget`."""
    if type(other) is not type(budget):
        raise type_mismatch(budget, other)
    return other


def _at_common_orders(first: RenyiCurve, *curves: RenyiCurve) -> list[tuple[float, ...]]:
    """Return (alpha, value of the first curve, value of each other curve) at the orders that all curves have."""
    if all(curve.orders == first.orders for curve in curves):
        return list(zip(first.orders, first.values, *(curve.values for curve in curves), strict=True))
    rows = [(alpha, value, *(curve.at(alpha) for curve in curves)) for alpha, value in first.as_pairs()]
    return [tuple(value for value in row if value is not None) for row in rows if None not in row]
