"""What the owner of a block declares about it in public, and what a block of reviews holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from privatekube import errors
from privatekube.data import sealed_file
from privatekube.data.columns import COLUMNS, FIRST_WORD, Reviews
from privatekube.privacy.unit import PrivacyUnit

FORMAT = "privatekube-reviews/1"
"""Name and version of the canonical content and of the file format."""
VOCABULARY = "vocabularySize"
"""The attribute of a block that declares how many words its tokens stand for."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which part of a dataset a block is, whatever the dataset holds; public.

    Args:
        dataset: name of the dataset.
        start_day: first day, counted from 2013-01-01.
        end_day: last day, inclusive.
        bucket: number of the user bucket, below `n_buckets`.
        n_buckets: how many buckets the users are spread over; 1 for all users together.
        partition_key_id: name of the public key that users are hashed with.
        unit: privacy unit that contributions were bounded for.
        max_contribution: maximum number of records of one unit in the block; 1 for events.

    Raises:
        InvalidInput: a value out of its range.
    """

    dataset: str
    start_day: int
    end_day: int
    bucket: int
    n_buckets: int
    partition_key_id: str
    unit: PrivacyUnit
    max_contribution: int

    def __post_init__(self) -> None:
        if self.end_day < self.start_day:
            raise errors.invalid("end_day", self.end_day, f"is before start_day {self.start_day}", "swap them")
        if not 0 <= self.bucket < self.n_buckets:
            raise errors.invalid("bucket", self.bucket, f"must be in 0..{self.n_buckets - 1}", "correct it")
        unit = PrivacyUnit.parse(self.unit)
        if self.max_contribution < 1 or (unit.is_one_record and self.max_contribution != 1):
            bound = "must be 1 for events, else at least 1"
            raise errors.invalid("max_contribution", self.max_contribution, bound, "correct it")


@dataclass(frozen=True)
class Metadata:
    """What the owner of the data declares about a block; public, so nothing here depends on a single record.

    Args:
        dataset: name of the dataset.
        start_day: first day, counted from 2013-01-01.
        end_day: last day, inclusive.
        bucket: number of the user bucket, below `n_buckets`.
        n_buckets: how many buckets the users are spread over; 1 for all users together.
        partition_key_id: name of the public key that users are hashed with.
        vocabulary_digest: digest of the word list behind the token ids.
        vocabulary_size: words in that list; token ids are below this plus FIRST_WORD.
        tokeniser: name of the rule that cuts text into words.
        unit: privacy unit that contributions were bounded for.
        max_contribution: maximum number of reviews of one unit in the block; 1 for events.
        categories: names of the product categories.

    Raises:
        InvalidInput: a value out of its range.
    """

    dataset: str
    start_day: int
    end_day: int
    bucket: int
    n_buckets: int
    partition_key_id: str
    vocabulary_digest: str
    vocabulary_size: int
    tokeniser: str
    unit: PrivacyUnit
    max_contribution: int
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        _ = self.cut  # which checks itself
        if self.vocabulary_size < 1:
            raise errors.invalid("vocabulary_size", self.vocabulary_size, "must be at least 1", "correct it")
        if not self.categories or len(set(self.categories)) != len(self.categories):
            raise errors.invalid("categories", self.categories, "must be distinct and at least one", "correct them")

    @property
    def cut(self) -> Cut:
        """Which part of the dataset the block is."""
        return Cut(
            dataset=self.dataset,
            start_day=self.start_day,
            end_day=self.end_day,
            bucket=self.bucket,
            n_buckets=self.n_buckets,
            partition_key_id=self.partition_key_id,
            unit=self.unit,
            max_contribution=self.max_contribution,
        )


@dataclass(frozen=True, eq=False)
class Block:
    """The content of a block file.

    Args:
        digest: the commitment to the content, see `sealed_file`; `sha256:<hex>` where the file has no key.
    """

    reviews: Reviews
    metadata: Metadata
    digest: str

    @property
    def records(self) -> Reviews:
        """Its records, whatever kind of block it is."""
        return self.reviews

    @property
    def cut(self) -> Cut:
        """Which part of the dataset it is."""
        return self.metadata.cut

    @property
    def content(self) -> sealed_file.Content:
        """What its file holds."""
        return content(self.reviews, self.metadata)


def content(reviews: Reviews, metadata: Metadata) -> sealed_file.Content:
    """Return what a file of these reviews holds."""
    columns = {name: np.asarray(getattr(reviews, name), dtype=dtype) for name, dtype in COLUMNS.items()}
    return sealed_file.Content(FORMAT, asdict(metadata), columns)


def content_digest(reviews: Reviews, metadata: Metadata) -> str:
    """Return `sha256:<hex>` of the content, which is for the owner of the data alone; see `sealed_file.Content`."""
    return content(reviews, metadata).digest


def require_consistent(reviews: Reviews, metadata: Metadata) -> None:
    """Check that every review lies within what `metadata` declares.

    Raises:
        InvalidInput: a review outside the days, a category without a name, or a token outside the vocabulary.
    """
    outside = {
        "a review lies outside the declared days": (reviews.day < metadata.start_day)
        | (reviews.day > metadata.end_day),
        "a review has a category without a name": reviews.category >= len(metadata.categories),
        "a token is outside the declared vocabulary": reviews.tokens >= metadata.vocabulary_size + FIRST_WORD,
    }
    for fault, rows in outside.items():
        if bool(rows.any()):
            raise errors.InvalidInput(f"reviews: {fault}; check what wrote them")
