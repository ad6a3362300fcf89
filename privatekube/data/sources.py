"""The source that blocks are cut from: its records by days, and what it declares in public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from privatekube.data import metadata, sealed_file
from privatekube.data.columns import Reviews
from privatekube.data.metadata import Cut, Metadata
from privatekube.data.partition import Slice
from privatekube.data.records import Records

R = TypeVar("R", bound=Records)
R_contra = TypeVar("R_contra", bound=Records, contravariant=True)


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


class RecordKind(Protocol[R_contra]):
    """What the blocks of a source declare of their records, and hold of them."""

    @property
    def partition_key_id(self) -> str:
        """Name of the public key that users are hashed with."""

    @property
    def record_key_id(self) -> str:
        """What the records are hashed and recognised by; another name makes other records of them."""

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Public numbers that a block declares besides its cut, by attribute."""

    def content(self, records: R_contra, cut: Cut) -> sealed_file.Content:
        """Return what the file of a part of the records holds, after checking it."""


class Source(Protocol[R]):
    """Records by slices of days, in memory; implement it to cut blocks from data of another kind.

    It does not state its days: which days are cut is declared, never read off the data. A record that is there twice
    with all its fields is one record: give it once. `OfReviews` makes one of reviews; files are cut by `cutting`, which
    holds a block of them at a time.
    """

    @property
    def kind(self) -> RecordKind[R]:
        """The kind of its records."""

    def records(self, days: Slice) -> R:
        """Return the records of a slice."""


class ReviewSource(Protocol):
    """Reviews by slices of days; implement it to cut blocks of reviews from another place.

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


@dataclass(frozen=True)
class ReviewKind:
    """The kind of the records of blocks of reviews.

    Args:
        categories: the names of all categories; public.
        encoding: how records become numbers.
    """

    categories: tuple[str, ...]
    encoding: Encoding

    @property
    def partition_key_id(self) -> str:
        """Name of the public key that users are hashed with."""
        return self.encoding.partition_key_id

    @property
    def record_key_id(self) -> str:
        """The same: a review is recognised by its user, product and time."""
        return self.partition_key_id

    @property
    def dimensions(self) -> dict[str, int]:
        """The size of the vocabulary."""
        return {metadata.VOCABULARY: self.encoding.vocabulary_size}

    def content(self, records: Reviews, cut: Cut) -> sealed_file.Content:
        """Return what the file of a part of the reviews holds, after checking it."""
        described = Metadata(**(asdict(cut) | asdict(self.encoding)), categories=self.categories)
        metadata.require_consistent(records, described)
        return metadata.content(records, described)


@dataclass(frozen=True)
class OfReviews:
    """The source of the blocks of reviews that are in memory.

    Args:
        source: of the reviews.
    """

    source: ReviewSource

    @property
    def kind(self) -> ReviewKind:
        """The kind of its records."""
        return ReviewKind(self.source.categories, self.source.encoding)

    def records(self, days: Slice) -> Reviews:
        """Return the reviews of a slice."""
        return self.source.reviews(days)
