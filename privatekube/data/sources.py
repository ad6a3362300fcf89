"""The source that blocks are cut from: its reviews by days, and what it declares in public."""

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
    """Reviews by slices of days; implement it to cut blocks from other data.

    Example:
        A source whose reviews are all in memory:

            @dataclass
            class Memory:
                all: Reviews
                categories: tuple[str, ...]
                encoding: Encoding
                faults: Faults = field(default_factory=Faults)

                def days(self) -> tuple[int, int] | None:
                    return int(self.all.day.min()), int(np.ptp(self.all.day)) + 1

                def reviews(self, days: Slice) -> Reviews:
                    return self.all.select((self.all.day >= days.start_day) & (self.all.day <= days.end_day))
    """

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of all categories; public."""

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""

    @property
    def faults(self) -> Faults:
        """Lines that are not reviews."""

    def days(self) -> tuple[int, int] | None:
        """Return the first day and the number of days of the data; None if the data is endless."""

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""


def span(source: Source, start_day: int | None, days: int | None) -> tuple[int, int]:
    """Return the first day and the number of days to cut: those given, by default all of the data.

    Raises:
        InvalidInput: the data is endless and `days` is not given.
    """
    available = source.days()
    if available is None:
        if days is None:
            raise errors.invalid("days", days, "is missing", "the data has no end: set --days 10")
        return start_day or 0, days
    first = available[0] if start_day is None else start_day
    return first, available[0] + available[1] - first if days is None else days
