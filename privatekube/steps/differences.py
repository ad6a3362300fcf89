"""What a run states, compared with what was approved for it."""

from __future__ import annotations

import math

from privatekube import errors

_ROUNDING = 1e-9


def require_equal(name: str, stated: object, known: object) -> None:
    """Check that a run states what was approved.

    Raises:
        BudgetExceeded: it states something else.
    """
    if stated != known:
        raise of(name, stated, known)


def require_close(name: str, stated: object, known: object) -> None:
    """Check that a run states what was approved, but for the rounding of numbers in JSON values.

    Raises:
        BudgetExceeded: it states something else.
    """
    if not _is_close(stated, known):
        raise of(name, stated, known)


def of(name: str, stated: object, known: object) -> errors.BudgetExceeded:
    """Return the error that says what differs."""
    return errors.BudgetExceeded(f"{name}: the run states {stated}, and {known} was approved; nothing is published")


def _is_close(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_close(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_close, left, right))
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=_ROUNDING)
    return left == right
