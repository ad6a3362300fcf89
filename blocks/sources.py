"""Sources of Amazon reviews: synthetic reviews, and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from blocks import readers, synthetic
from blocks.record import Record, columns, encoding
from privatekube import errors
from privatekube.data import json_lines
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY, Reviews
from privatekube.data.json_lines import Faults
from privatekube.data.partition import Slice
from privatekube.data.sources import Encoding, Source

SYNTHETIC = "synthetic"
_BATCH = 20_000


@dataclass(frozen=True)
class Synthetic:
    """Synthetic reviews, the same for the same seed."""

    seed: int
    categories: tuple[str, ...] = synthetic.CATEGORIES
    faults: Faults = field(default_factory=Faults)

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""
        return encoding()

    def days(self) -> tuple[int, int] | None:
        """Return None: there are reviews for every day."""
        return None

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
        parts = [
            columns(list(synthetic.reviews_of_day(day, self.seed)), self.categories)
            for day in range(days.start_day, days.end_day + 1)
        ]
        return Reviews.concatenate(parts)


class Files:
    """Review files, read once into columns."""

    def __init__(self, source: str) -> None:
        files = json_lines.files_by_category(source)
        self.categories = tuple(files)
        self.faults = Faults()
        self.encoding = encoding()
        self._all = Reviews.concatenate([part for name, file in files.items() for part in self._parts(file, name)])
        if not len(self._all):
            raise errors.invalid(
                "source", source, f"has no reviews; {self.faults.total} of its lines are not reviews", "check it"
            )

    def days(self) -> tuple[int, int] | None:
        """Return the first day and the number of days of the data."""
        day = self._all.day
        return int(day.min()), int(day.max() - day.min()) + 1

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
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
    """Open `synthetic`, a file, a folder, or a gs:// or s3:// prefix.

    Raises:
        NotFound: there is no such file or folder.
        InvalidInput: it has no reviews.
    """
    return Synthetic(seed) if source == SYNTHETIC else Files(source)
