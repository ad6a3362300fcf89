"""Budgets as text for people: an epsilon and a delta, or the Renyi epsilon at one order.

`str(budget)` describes one amount. The functions here describe amounts that are read together: Renyi curves at an order
that suits both, with so many digits that the two differ. Whole curves are in the JSON form of a budget.
"""

from __future__ import annotations

from collections.abc import Sequence

from privatekube import errors
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import PrivacyBudget, RenyiCurve

_DIGITS = (4, 6, 9, 17)
_DELTA = 1e-7
"""The delta at which the guarantees of two lifetime budgets are compared."""


def at_best_order(amount: PrivacyBudget, *, price: PrivacyBudget, left: PrivacyBudget) -> str:
    """Describe an amount: a Renyi curve at the order at which `left` has room for most prices.

    >>> curves = [RenyiCurve((2, 64), epsilons) for epsilons in ((6, 6.5), (0.5, 2))]
    >>> at_best_order(curves[0], price=curves[1], left=curves[0])
    'renyi 6 at order 2'
    """
    return _text(amount, _roomiest_order(price, left), digits=_DIGITS[0])


def asked_and_left(asked: PrivacyBudget, left: PrivacyBudget) -> tuple[str, str]:
    """Describe a demand that does not fit, and what is left: Renyi curves at the order at which least is missing.

    >>> asked_and_left(RenyiCurve((2, 8), (1, 1.00001)), RenyiCurve((2, 8), (0.1, 1)))
    ('renyi 1.00001 at order 8', 'renyi 1 at order 8')
    """
    return _distinct(asked, left, _roomiest_order(asked, left))


def differing(first: PrivacyBudget | None, second: PrivacyBudget | None) -> tuple[str, str]:
    """Describe two budgets that should be equal: Renyi curves at the order at which they differ most.

    Curves with the same epsilons at their common orders are told apart by their orders. None is described as nothing.
    """
    if first is None or second is None:
        return str(first or "nothing"), str(second or "nothing")
    pairs = _common(first, second)
    gaps = {order: abs(a - b) / (abs(a) + abs(b)) for order, a, b in pairs if a or b}
    left, right = _distinct(first, second, max(gaps, key=gaps.__getitem__, default=None))
    if left != right or first.orders == second.orders:
        return left, right
    return _with_orders(left, first), _with_orders(right, second)


def differing_lifetimes(first: PrivacyBudget, second: PrivacyBudget) -> tuple[str, str]:
    """Describe two initial budgets of blocks that should be equal: Renyi curves by what they guarantee.

    >>> from privatekube.privacy.budget import EpsilonDelta
    >>> differing_lifetimes(*(renyi_filter.capacity(EpsilonDelta(epsilon, 1e-7)) for epsilon in (10, 3)))
    ('epsilon 10, delta 1e-07 in Renyi accounting', 'epsilon 3, delta 1e-07 in Renyi accounting')
    """
    left, right = _lifetime(first), _lifetime(second)
    return (left, right) if left != right else differing(first, second)


def _lifetime(budget: PrivacyBudget) -> str:
    if not isinstance(budget, RenyiCurve):
        return str(budget)
    try:
        return f"{renyi_filter.guarantee(budget, delta=_DELTA)} in Renyi accounting"
    except errors.InvalidInput:  # no order has capacity: it guarantees nothing
        return str(budget)


def columns(
    amounts: Sequence[tuple[str, PrivacyBudget]], *, left: PrivacyBudget
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return named amounts as the header and the rows of a table: Renyi curves at the best order of `left`.

    >>> from privatekube.privacy.budget import EpsilonDelta
    >>> columns([("initial", EpsilonDelta(10.0, 1e-7))], left=EpsilonDelta(9.0, 0.0))
    (('budget', 'epsilon', 'delta'), [('initial', '10', '1e-07')])
    """
    if not isinstance(left, RenyiCurve):
        rows = [(name, *(f"{value:.6g}" for value in amount.values)) for name, amount in amounts]
        return ("budget", "epsilon", "delta"), rows
    order, _ = left.best_order()
    values = [(name, amount.at(order) if isinstance(amount, RenyiCurve) else None) for name, amount in amounts]
    rows = [(name, "-" if value is None else f"{value:.6g}") for name, value in values]
    return ("budget", f"renyi at order {order:g}"), rows


def _roomiest_order(price: PrivacyBudget, left: PrivacyBudget) -> float | None:
    """Return the order at which `left` has room for most prices; None where no order has a price."""
    room = {order: rest / value for order, value, rest in _common(price, left) if value > 0}
    return max(room, key=room.__getitem__, default=None)


def _common(first: PrivacyBudget, second: PrivacyBudget) -> list[tuple[float, float, float]]:
    """Return (order, value of the first, value of the second) at the orders of both; none for epsilon and delta."""
    if not isinstance(first, RenyiCurve) or not isinstance(second, RenyiCurve):
        return []
    rows = [(order, value, second.at(order)) for order, value in first.as_pairs()]
    return [(order, value, other) for order, value, other in rows if other is not None]


def _distinct(first: PrivacyBudget, second: PrivacyBudget, order: float | None) -> tuple[str, str]:
    """Describe two budgets with the fewest digits that show a difference."""
    texts = [(_text(first, order, digits=digits), _text(second, order, digits=digits)) for digits in _DIGITS]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def _text(amount: PrivacyBudget, order: float | None, *, digits: int) -> str:
    if order is None or not isinstance(amount, RenyiCurve) or amount.at(order) is None:
        return amount.text(digits)
    return amount.text_at(order, digits)


def _with_orders(text: str, amount: PrivacyBudget) -> str:
    return f"{text} (orders {', '.join(f'{order:g}' for order in amount.orders)})"
