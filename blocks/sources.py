"""Sources of Amazon reviews: synthetic reviews, and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blocks import record, synthetic
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY, Reviews
from privatekube.data.partition import Slice
from privatekube.data.sources import Encoding

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Synthetic:
    """Synthetic reviews, the same for the same seed."""

    seed: int
    categories: tuple[str, ...] = synthetic.CATEGORIES

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""
        return record.of_plain_text().encoding

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
        parts = [
            record.columns(list(synthetic.reviews_of_day(day, self.seed)), self.categories)
            for day in range(days.start_day, days.end_day + 1)
        ]
        return Reviews.concatenate(parts)


class Files:
    """The reviews of a declared range of days in review files, read once into columns.

    The files are those of all categories: a name is public, also if the file has no review of these days.

    Args:
        source: a file, a folder with one file per category, or a gs:// or s3:// prefix.
        days: the declared range; other reviews are left out.
        options: of `reading.Reading`.

    Attributes:
        warnings: what was found of files as a whole.

    Raises:
        NotFound: no such file or folder.
        InvalidInput, CorruptData: no review file, or see `reading.Reading.rows`.
    """

    def __init__(self, source: str, days: Slice, **options: Any) -> None:
        from privatekube.data.tables import files, reading  # noqa: PLC0415 - pyarrow is not needed for synthetic reviews

        declared = record.read_schema(days)
        category = files.names_of(files.list_tables([source], declared.format), declared.format)
        self.categories = tuple(sorted(category.values()))
        tokenisers = record.tokenisers(declared)
        self.encoding = tokenisers.encoding
        read = reading.Reading(list(category), declared, **options)
        parts = [
            tokenisers.columns(rows, [self.categories.index(category[rows.location])] * len(rows))
            for rows in read.rows()
        ]
        self.report, self.warnings = read.report, read.warnings
        whole = Reviews.concatenate(parts)
        self._all = whole.select(np.argsort(whole.time, kind="stable"))

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
        start, end = np.searchsorted(self._all.time, [_first_second(days.start_day), _first_second(days.end_day + 1)])
        return self._all.select(np.arange(start, end))


def _first_second(day: int) -> int:
    return FIRST_DAY_SECONDS + day * SECONDS_PER_DAY
