"""What blocks are cut from: a source of records by days, and what it declares about itself in public."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from privatekube import errors
from privatekube.data.columns import Reviews
from privatekube.data.json_lines import Faults
from privatekube.data.partition import Slice


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a source turns records into numbers; public, and the same for all blocks of a dataset.

    Args:
        partition_key_id: name of the public key that users are hashed with.
        vocabulary_digest: digest of the word list behind the token ids.
        vocabulary_size: words in that list.
        tokeniser: name of the rule that cuts text into words.
    """

    partition_key_id: str
    vocabulary_digest: str
    vocabulary_size: int
    tokeniser: str


class Source(Protocol):
    """Reviews by slices of days."""

    @property
    def categories(self) -> tuple[str, ...]:
        """All categories; public."""

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""

    @property
    def faults(self) -> Faults:
        """Lines that are not reviews."""

    def days(self) -> tuple[int, int] | None:
        """First day and number of days of the data; None where there is no end."""

    def reviews(self, days: Slice) -> Reviews:
        """The reviews of a slice."""


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
