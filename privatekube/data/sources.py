"""The source that blocks are cut from: its reviews by days, and what it declares in public."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from privatekube.data.columns import Reviews
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

    It does not state its days: which days are cut is declared, never read off the data. A record that is there twice
    with all its fields is one record: give it once.

    Example:
        A source whose reviews are all in memory:

            @dataclass
            class Memory:
                all: Reviews
                categories: tuple[str, ...]
                encoding: Encoding

                def reviews(self, days: Slice) -> Reviews:
                    return self.all.select((self.all.day >= days.start_day) & (self.all.day <= days.end_day))
    """

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of all categories; public."""

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""

    def reviews(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
