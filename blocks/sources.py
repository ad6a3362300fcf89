"""Sources of Amazon reviews: synthetic reviews, and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blocks import record, synthetic
from privatekube.data.columns import Reviews
from privatekube.data.partition import Slice
from privatekube.data.sources import Encoding, ReviewKind
from privatekube.data.tables import files
from privatekube.data.tables.rows import Encoded
from privatekube.data.tables.schema import Schema

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


@dataclass(frozen=True)
class FileReviews(ReviewKind):
    """The kind of the reviews of review files.

    Args:
        category: number of the category of each file.
    """

    category: tuple[int, ...]

    def records(self, rows: Encoded) -> Reviews:
        """Return reviews as columns."""
        return record.reviews(rows, np.array(self.category, np.int16)[rows.file])


def kind_of(locations: Sequence[str], declared: Schema) -> FileReviews:
    """Return the kind of the reviews of files, which are those of all categories.

    A name is public, also if the file has no review of the declared days.

    Raises:
        InvalidInput: two files have one name.
    """
    names = files.names_of(locations, declared.format)
    categories = tuple(sorted(names.values()))
    category = tuple(categories.index(names[location]) for location in locations)
    return FileReviews(categories, record.tokenisers(declared).encoding, category)
