"""How much of a block's budget has to be committed until its owner is told."""

from __future__ import annotations

from dataclasses import dataclass

from privatekube import errors

_MOST = 10
_TOLERANCE = 1e-9
"""What a share may lack of a threshold: sums of floats end just below it."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """At how many percent of a block's budget its owner is told that it is nearly exhausted.

    Args:
        percents: whole numbers from 1 to 100, the lowest first; at most ten.

    Raises:
        InvalidInput: there is none, there are too many, or one is out of these bounds or given twice.

    >>> Thresholds((80, 95)).crossed(0.9)
    80
    """

    percents: tuple[int, ...]

    def __post_init__(self) -> None:
        is_rising = all(low < high for low, high in zip(self.percents, self.percents[1:], strict=False))
        if (
            not 1 <= len(self.percents) <= _MOST
            or not is_rising
            or not 1 <= self.percents[0] <= self.percents[-1] <= 100
        ):
            raise _invalid(str(self))

    @classmethod
    def parse(cls, text: str) -> Thresholds:
        """Return the thresholds of a text such as `80%,95%`.

        Raises:
            InvalidInput: see the class.
        """
        parts = [part.strip().removesuffix("%") for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
            raise _invalid(text)
        return cls(tuple(sorted(map(int, parts))))

    def crossed(self, share: float) -> int | None:
        """Return the highest threshold that a committed share has reached; None if it has reached none."""
        return max((percent for percent in self.percents if 100 * share >= percent * (1 - _TOLERANCE)), default=None)

    def __str__(self) -> str:
        return ",".join(f"{percent}%" for percent in self.percents)


def _invalid(text: str) -> errors.InvalidInput:
    bound = f"must be up to {_MOST} different whole percentages from 1% to 100%"
    return errors.invalid("alarm thresholds", text, bound, "write them like 80%,95%")


DEFAULT = Thresholds((80, 95))
