"""Sums of bounded values, exact in floating point, so that one record moves them no further than its bounds say.

A sum of arbitrary floats is rounded at each addition, and one record may move it by more than its value (Casacuberta et
al., "Widespread Underestimation of Sensitivity in Differentially Private Libraries", 2022). Here each value is rounded
towards 0 to a multiple of a power of two, and the multiples are whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.interactive import amounts

_RESOLUTION = 20
"""A value is rounded by less than its largest magnitude over two to this power."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The public range of a column; a value outside it counts as the nearest one inside.

    Args:
        lower: the least value.
        upper: the largest one.

    Raises:
        InvalidInput: they are not finite numbers, or the lower one is not below the upper one.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise errors.invalid(name, value, "must be a finite number", "state the public range of the values")
        if not self.lower < self.upper:
            raise errors.invalid("lower", self.lower, f"must be below upper, which is {self.upper}", "swap them")
        object.__setattr__(self, "lower", float(self.lower))
        object.__setattr__(self, "upper", float(self.upper))

    @property
    def largest(self) -> float:
        """The largest magnitude of a value."""
        return max(abs(self.lower), abs(self.upper))

    @property
    def middle(self) -> float:
        """The middle of the range."""
        return self.lower / 2 + self.upper / 2

    @property
    def half_width(self) -> float:
        """How far a value is from the middle at most."""
        return self.upper / 2 - self.lower / 2


def total(values: Iterable[float], bounds: Bounds) -> float:
    """Return the sum of the values within their bounds; one record moves it by `bounds.largest` at most.

    A missing value counts as the one within the bounds that is nearest to 0.

    >>> total([0.5, 7.0, math.nan], Bounds(0.0, 2.0))
    2.5
    """
    return _grid_sum(_column(values), bounds, largest=bounds.largest, offset=0.0)


def centred(values: Iterable[float], bounds: Bounds) -> tuple[float, float]:
    """Return the sum of distances from the middle of the bounds, and the number of records times half their width.

    One record moves each by `bounds.half_width` at most, so that the two together have twice that as L1 sensitivity.
    A missing value counts as in `total`.

    >>> centred([0.0, 2.0, 2.0], Bounds(0.0, 2.0))
    (1.0, 3.0)
    """
    column = _column(values)
    half = bounds.half_width
    grid = _grid(half)
    number = float(len(column) * math.floor(half / grid)) * grid
    return _grid_sum(column, bounds, largest=half, offset=bounds.middle), number


def mean(total: float, number: float, bounds: Bounds) -> float:
    """Return the mean that a noisy `centred` sum and number imply, within the bounds; of one record at the least.

    >>> mean(1.0, 3.0, Bounds(0.0, 2.0))
    1.3333333333333333
    """
    records = max(number / bounds.half_width, 1.0)
    return min(max(bounds.middle + total / records, bounds.lower), bounds.upper)


def _column(values: Iterable[float]) -> npt.NDArray[np.float64]:
    try:
        column = np.asarray(amounts.plain(values), dtype=np.float64)
    except (TypeError, ValueError):
        raise errors.InvalidInput("column: holds other values than numbers; pass one for each record") from None
    if column.ndim != 1:
        raise errors.invalid("column", f"{column.ndim} dimensions", "must be 1", "pass one number for each record")
    return column


def _grid(largest: float) -> float:
    """Return the power of two whose multiples are summed."""
    return math.ldexp(1.0, math.frexp(largest)[1] - _RESOLUTION)


def _grid_sum(column: npt.NDArray[np.float64], bounds: Bounds, *, largest: float, offset: float) -> float:
    grid = _grid(largest)
    nearest = np.where(np.isnan(column), np.clip(0.0, bounds.lower, bounds.upper), column)
    kept = np.clip(nearest, bounds.lower, bounds.upper) - offset
    multiples = np.trunc(np.clip(kept, -largest, largest) / grid).astype(np.int64)
    return float(multiples.sum()) * grid
