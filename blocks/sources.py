"""Where reviews come from: one protocol over synthetic data and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from blocks import readers, synthetic
from blocks.partition import Slice
from blocks.record import Record, columns
from privatekube import errors
from privatekube.reviews import FIRST_DAY_SECONDS, SECONDS_PER_DAY, Reviews

SYNTHETIC = "synthetic"
_BATCH = 20_000


class Source(Protocol):
    """Reviews by slices of days."""

    @property
    def categories(self) -> tuple[str, ...]:
        """All categories; public."""

    @property
    def faults(self) -> readers.Faults:
        """Lines that were no reviews."""

    def days(self) -> tuple[int, int] | None:
        """First day and number of days of the data; None where there is no end."""

    def reviews(self, days: Slice) -> Reviews:
        """The reviews of a slice."""


@dataclass(frozen=True)
class Synthetic:
    """Made-up reviews, the same for the same seed."""

    seed: int
    categories: tuple[str, ...] = synthetic.CATEGORIES
    faults: readers.Faults = field(default_factory=readers.Faults)

    def days(self) -> tuple[int, int] | None:
        """There is no end."""
        return None

    def reviews(self, days: Slice) -> Reviews:
        """The reviews of a slice."""
        parts = [
            columns(list(synthetic.reviews_of_day(day, self.seed)), self.categories)
            for day in range(days.start_day, days.end_day + 1)
        ]
        return Reviews.concatenate(parts)


class Files:
    """Review files, read once into columns."""

    def __init__(self, source: str) -> None:
        files = readers.categories(source)
        self.categories = tuple(files)
        self.faults = readers.Faults()
        self._all = Reviews.concatenate([part for name, file in files.items() for part in self._parts(file, name)])
        if not len(self._all):
            raise errors.invalid("source", source, f"holds no review; {self.faults.total} lines are none", "check it")

    def days(self) -> tuple[int, int] | None:
        """First day and number of days of the data."""
        day = self._all.day
        return int(day.min()), int(day.max() - day.min()) + 1

    def reviews(self, days: Slice) -> Reviews:
        """The reviews of a slice."""
        start = FIRST_DAY_SECONDS + days.start_day * SECONDS_PER_DAY
        end = FIRST_DAY_SECONDS + (days.end_day + 1) * SECONDS_PER_DAY
        return self._all.select(np.asarray((self._all.time >= start) & (self._all.time < end)))

    def _parts(self, file: str, category: str) -> Iterator[Reviews]:
        batch: list[Record] = []
        for record in readers.read(file, category, self.faults):
            batch.append(record)
            if len(batch) == _BATCH:
                yield columns(batch, self.categories)
                batch = []
        yield columns(batch, self.categories)


def open_source(source: str, *, seed: int) -> Source:
    """`synthetic`, a file, a folder or a gs:// prefix."""
    return Synthetic(seed) if source == SYNTHETIC else Files(source)


def span(source: Source, start_day: int | None, days: int | None) -> tuple[int, int]:
    """First day and number of days to cut: what was asked, else all of the data.

    Raises:
        InvalidInput: endless data and no number of days.
    """
    there = source.days()
    if there is None:
        if days is None:
            raise errors.invalid("days", days, "is missing", "synthetic reviews have no end: say --days 10")
        return start_day or 0, days
    first = there[0] if start_day is None else start_day
    return first, there[0] + there[1] - first if days is None else days
