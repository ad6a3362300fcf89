"""Privacy budgets and their algebra: `EpsilonDelta` and `RenyiCurve`.

Both are immutable. Arithmetic is component by component; a Renyi result has the orders that both sides share, so that a
cost that is unknown at an order removes that order for good. Two budgets of different type never mix.

Sources: Mironov, "Renyi Differential Privacy" (2017), Prop. 1 (composition) and Prop. 3 (conversion);
Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4 (filling a block needs one order only).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from privatekube import errors
from privatekube.privacy.orders import increasing
from privatekube.privacy.rounding import RELATIVE_TOLERANCE, fits, is_same_order

STANDARD_ORDERS: tuple[float, ...] = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64, 1e6)
"""Renyi orders used when none are given; 1e6 stands for infinity (pure epsilon)."""


@dataclass(frozen=True, slots=True)
class EpsilonDelta:
    """An (epsilon, delta) budget or cost; basic composition adds both.

    Args:
        epsilon: the epsilon of (epsilon, delta)-DP.
        delta: the delta of (epsilon, delta)-DP.

    Raises:
        InvalidBudget: a component is NaN or infinite.

    Example:
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
        """No orders: the two components stand for themselves."""
        return ()

    @property
    def values(self) -> tuple[float, ...]:
        """The components."""
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
        """The smaller of both, component by component."""
        peer = _same_type(self, other)
        return EpsilonDelta(min(self.epsilon, peer.epsilon), min(self.delta, peer.delta))

    def admits(self, demand: PrivacyBudget, *, capacity: PrivacyBudget) -> bool:
        """Whether `demand` fits: both components must; an exact fit does.

        Args:
            demand: what is asked of this budget.
            capacity: the initial budget this one is what is left of; it scales the tolerance for float rounding.

        >>> (EpsilonDelta(0.3) - EpsilonDelta(0.1)).admits(EpsilonDelta(0.2), capacity=EpsilonDelta(0.3))
        True
        """
        asked, whole = _same_type(self, demand), _same_type(self, capacity)
        return all(fits(d, a, c) for d, a, c in zip(asked.values, self.values, whole.values, strict=True))

    def share_of(self, capacity: PrivacyBudget) -> tuple[float, ...]:
        """This demand as fractions of `capacity`; a component that both lack is skipped."""
        whole = _same_type(self, capacity)
        return tuple(
            d / c if c > 0 else math.inf for d, c in zip(self.values, whole.values, strict=True) if c > 0 or d > 0
        )

    def __str__(self) -> str:
        return f"epsilon {self.epsilon:.6g}, delta {self.delta:.3g}"


@dataclass(frozen=True, slots=True)
class RenyiCurve:
    """Renyi-DP epsilons at fixed orders; composition adds at each order.

    Args:
        orders: the orders alpha, each above 1, in increasing order.
        epsilons: the Renyi epsilon at each order; may be negative where a block was overdrawn at that order.

    Raises:
        InvalidBudget: no or unequal numbers of orders, an order not above 1 or given twice, an epsilon not finite.

    Example:
        >>> RenyiCurve((2.0, 8.0), (0.5, 1.0)) + RenyiCurve((2.0, 8.0), (0.25, 0.5))
        RenyiCurve(orders=(2.0, 8.0), epsilons=(0.75, 1.5))
    """

    orders: tuple[float, ...]
    epsilons: tuple[float, ...]

    def __post_init__(self) -> None:
        orders, epsilons = tuple(map(float, self.orders)), tuple(map(float, self.epsilons))
        if not orders or len(orders) != len(epsilons):
            raise errors.InvalidBudget("renyi: needs at least one order, and one epsilon per order")
        if not all(map(math.isfinite, epsilons)):
            raise errors.InvalidBudget(f"epsilons: {epsilons} must be finite numbers")
        for name, values in (("orders", orders), ("epsilons", epsilons)):
            object.__setattr__(self, name, tuple(values[place] for place in increasing(orders)))

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[float, float]]) -> RenyiCurve:
        """Build from (alpha, epsilon) pairs."""
        return cls(*(tuple(zip(*pairs, strict=True)) or ((), ())))

    @property
    def values(self) -> tuple[float, ...]:
        """The epsilons, one per order."""
        return self.epsilons

    def __add__(self, other: PrivacyBudget) -> RenyiCurve:
        return self._combined(other, lambda a, b: a + b)

    def __sub__(self, other: PrivacyBudget) -> RenyiCurve:
        return self._combined(other, lambda a, b: a - b)

    def __mul__(self, factor: float) -> RenyiCurve:
        return RenyiCurve(self.orders, tuple(e * factor for e in self.epsilons))

    def minimum(self, other: PrivacyBudget) -> RenyiCurve:
        """The smaller of both at each common order."""
        return self._combined(other, min)

    def maximum(self, other: PrivacyBudget) -> RenyiCurve:
        """The larger of both at each common order: parallel composition."""
        return self._combined(other, max)

    def admits(self, demand: PrivacyBudget, *, capacity: PrivacyBudget) -> bool:
        """Whether `demand` fits at one common order at least; an exact fit does.

        An order whose capacity is 0 never fits a positive demand.

        >>> left, whole = RenyiCurve((2, 4), (-1.0, 0.5)), RenyiCurve((2, 4), (1.0, 1.0))
        >>> left.admits(RenyiCurve((2, 4), (0.1, 0.5)), capacity=whole)
        True
        """
        peer, whole = _same_type(self, demand), _same_type(self, capacity)
        return any(fits(d, a, c) and (d <= 0 or c > 0) for _, a, d, c in _matched(self, peer, whole))

    def share_of(self, capacity: PrivacyBudget) -> tuple[float, ...]:
        """This demand as fractions of `capacity`, at the common orders of positive capacity."""
        whole = _same_type(self, capacity)
        return tuple(d / c for _, d, c in _matched(self, whole) if c > 0)

    def at(self, alpha: float) -> float | None:
        """The epsilon at order `alpha`, or None where the curve has no such order."""
        return next((e for a, e in self.as_pairs() if is_same_order(a, alpha)), None)

    def as_pairs(self) -> tuple[tuple[float, float], ...]:
        """(alpha, epsilon) pairs in increasing order of alpha."""
        return tuple(zip(self.orders, self.epsilons, strict=True))

    def _combined(self, other: PrivacyBudget, operation: Callable[[float, float], float]) -> RenyiCurve:
        peer = _same_type(self, other)
        common = [(alpha, operation(a, b)) for alpha, a, b in _matched(self, peer)]
        if not common:
            raise errors.InvalidBudget(f"renyi: orders {self.orders} and {peer.orders} have none in common")
        return RenyiCurve.from_pairs(common)

    def __str__(self) -> str:
        return "renyi " + " ".join(f"{a:g}:{e:.4g}" for a, e in self.as_pairs())


PrivacyBudget = EpsilonDelta | RenyiCurve

B = TypeVar("B", EpsilonDelta, RenyiCurve)


def to_renyi(budget: EpsilonDelta, orders: Iterable[float] = STANDARD_ORDERS) -> RenyiCurve:
    """The Renyi capacity of an (epsilon, delta) budget: eps(alpha) = max(0, eps + ln(delta)/(alpha-1)).

    A mechanism within this curve at any one order is (epsilon, delta)-DP (Mironov 2017, Prop. 3). At 1e6: epsilon.

    Raises:
        InvalidBudget: delta is not in (0, 1).
    """
    if not 0 < budget.delta < 1:
        raise errors.InvalidBudget(f"delta: {budget.delta!r} must lie in (0, 1) to give a Renyi curve")
    return RenyiCurve.from_pairs(
        (a, budget.epsilon if a >= 1e6 else max(0.0, budget.epsilon + math.log(budget.delta) / (a - 1))) for a in orders
    )


def total(budgets: Iterable[PrivacyBudget], *, start: PrivacyBudget) -> PrivacyBudget:
    """`start` plus all `budgets`, rounded once where all have the same components."""
    parts = [start, *budgets]
    if len({(type(part), part.orders) for part in parts}) > 1:
        return functools.reduce(operator.add, parts)
    sums = [math.fsum(column) for column in zip(*(part.values for part in parts), strict=True)]
    return RenyiCurve(start.orders, tuple(sums)) if isinstance(start, RenyiCurve) else EpsilonDelta(*sums)


def is_negligible(budget: PrivacyBudget, *, capacity: PrivacyBudget) -> bool:
    """Whether every component is zero up to float rounding of `capacity`."""
    return all(abs(v) <= RELATIVE_TOLERANCE * max(map(abs, capacity.values)) for v in budget.values)


def is_close(left: PrivacyBudget, right: PrivacyBudget) -> bool:
    """Whether both have the same type, the same orders and the same values up to float rounding."""
    if type(left) is not type(right) or len(left.values) != len(right.values):
        return False
    same_orders = all(is_same_order(a, b) for a, b in zip(left.orders, right.orders, strict=True))
    return same_orders and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=RELATIVE_TOLERANCE)
        for a, b in zip(left.values, right.values, strict=True)
    )


def require_amount(name: str, budget: PrivacyBudget) -> PrivacyBudget:
    """Return `budget` if it can be an amount: no component negative.

    Raises:
        InvalidBudget: with the name, the component and its value.
    """
    if (lowest := min(budget.values)) < 0:
        raise errors.InvalidBudget(f"{name}: {lowest!r} is negative; give amounts of 0 or more")
    return budget


def _same_type(own: B, other: object) -> B:
    if type(other) is not type(own):
        raise errors.InvalidBudget(
            f"budget types do not match: {type(own).__name__} and {type(other).__name__}; use one accounting throughout"
        )
    return other


def _matched(first: RenyiCurve, *curves: RenyiCurve) -> list[tuple[float, ...]]:
    """(alpha, value, value in each curve) at the orders that all have."""
    if all(curve.orders == first.orders for curve in curves):
        return list(zip(first.orders, first.values, *(curve.values for curve in curves), strict=True))
    rows = [(alpha, value, *(curve.at(alpha) for curve in curves)) for alpha, value in first.as_pairs()]
    return [tuple(v for v in row if v is not None) for row in rows if None not in row]
