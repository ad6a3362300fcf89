"""Sources of Amazon reviews: synthetic reviews, and files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from blocks import readers, synthetic
from blocks.record import Record, columns, encoding
from privatekube import errors
from privatekube.data import json_lines
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY, Reviews
from privatekube.data.partition import Slice
from privatekube.data.read_report import FileCounts, ReadReport
from privatekube.data.sources import Encoding

SYNTHETIC = "synthetic"
_BATCH = 20_000
_HASH_BYTES = 16

Track = Callable[[Iterable[tuple[str, str]]], Iterable[tuple[str, str]]]
"""Shows progress: returns what it is given, one after the other."""


@dataclass(frozen=True)
class Synthetic:
    """Synthetic reviews, the same for the same seed."""

    seed: int
    categories: tuple[str, ...] = synthetic.CATEGORIES

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""
        return encoding()

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
        parts = [
            columns(list(synthetic.reviews_of_day(day, self.seed)), self.categories)
            for day in range(days.start_day, days.end_day + 1)
        ]
        return Reviews.concatenate(parts)


class Files:
    """The reviews of a declared range of days in review files, read once into columns.

    The files are those of all categories: a name is public, also if the file has no review of these days.

    Args:
        files: the file of each category.
        days: the declared range; other reviews are left out.
        keep_copies: keep exact copies of a review. One review then counts as often as it was copied, and the promise
            for one review covers one of its copies only.
        report: gets the exact numbers of what was read and left out, for the data owner alone.
        track: shows progress over the files.

    Raises:
        CorruptData: a file is damaged, or not a single line of it is a review.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        days: Slice,
        *,
        keep_copies: bool = False,
        report: ReadReport | None = None,
        track: Track = iter,
    ) -> None:
        self.categories = tuple(files)
        self.encoding = replace(encoding(), tokeniser=readers.TOKENISER)
        self.report = ReadReport() if report is None else report
        self.warnings: list[str] = []
        self._days, self._keep_copies = days, keep_copies
        self._seen: set[bytes] = set()
        parts = [part for category, file in track(files.items()) for part in self._parts(file, category)]
        self._seen.clear()
        whole = Reviews.concatenate(parts)
        self._all = whole.select(np.argsort(whole.time, kind="stable"))

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
        start, end = np.searchsorted(self._all.time, [_first_second(days.start_day), _first_second(days.end_day + 1)])
        return self._all.select(np.arange(start, end))

    def _parts(self, file: str, category: str) -> Iterator[Reviews]:
        batch: list[Record] = []
        for record in self._records(file, category):
            batch.append(record)
            if len(batch) == _BATCH:
                yield columns(batch, self.categories)
                batch = []
        yield columns(batch, self.categories)

    def _records(self, file: str, category: str) -> Iterator[Record]:
        content = json_lines.read(file)
        if content.has_trailing_garbage:
            self.warnings.append(f"{file}: ignored what follows the compressed data")
        lines = [line for line in content.lines if line.strip()]
        counts, n_reviews = self.report.of(file), 0
        for line in lines:
            try:
                record = readers.record(line, category)
            except readers.NotAReview as fault:
                counts.not_records[fault.reason] += 1
                continue
            n_reviews += 1
            if self._is_wanted(record, counts):
                counts.kept += 1
                yield record
        if lines and not n_reviews:
            reason = next(iter(counts.not_records))
            raise errors.CorruptData(readers.format_fault(file, first_line=lines[0], reason=reason))

    def _is_wanted(self, record: Record, counts: FileCounts) -> bool:
        if not _first_second(self._days.start_day) <= record.time < _first_second(self._days.end_day + 1):
            counts.outside_days += 1
            return False
        content = _content_hash(record)
        if content in self._seen and not self._keep_copies:
            counts.exact_copies += 1
            return False
        self._seen.add(content)
        return True


def _first_second(day: int) -> int:
    return FIRST_DAY_SECONDS + day * SECONDS_PER_DAY


def _content_hash(record: Record) -> bytes:
    """Return a hash of all fields of a review but its category: a copy in another category's file is a copy."""
    fields = record.user, record.product, record.stars, record.time, record.summary, record.text
    return hashlib.blake2b(repr(fields).encode(), digest_size=_HASH_BYTES).digest()
