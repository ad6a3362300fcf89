"""What the values of a planned query move by, and what moves them so far: one privacy unit, or one of its records."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Per(enum.StrEnum):
    """What moves the values of a query by its stated sensitivity at most."""

    UNIT = "unit"
    """One privacy unit, with all its records."""
    RECORD = "record"
    """One record; a unit moves them by that times the most records that a unit may have."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far something moves the values of a query at most, when it is added or removed.

    Args:
        value: how far.
        per: what moves them.

    >>> Sensitivity(2, Per.RECORD).of_unit(5), Sensitivity(2, Per.UNIT).of_unit(5)
    (10, 2)
    """

    value: float
    per: Per

    def of_unit(self, max_contribution: int) -> float:
        """Return how far one unit moves them that has so many records at most."""
        return self.value * max_contribution if self.per == Per.RECORD else self.value
