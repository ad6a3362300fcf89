"""Checks of the numbers that a person states."""

from __future__ import annotations

from privatekube import errors
from privatekube.privacy import noisy_steps


def require_number(name: str, value: object, *, least: float, most: float) -> None:
    """Refuse what is not a finite number from `least` to `most`.

    Raises:
        InvalidInput: names it, its value and the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise errors.invalid(name, value, f"must be a number from {least:g} to {most:g}", "change it")


def require_count(name: str, value: object, *, most: int = noisy_steps.MOST_STEPS) -> None:
    """Refuse what is not a whole number from 1 to `most`.

    Raises:
        InvalidInput: names it, its value and the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise errors.invalid(name, value, f"must be a whole number from 1 to {most:,}", "change it")
