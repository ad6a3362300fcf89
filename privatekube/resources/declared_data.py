"""What a block declares about its data in public, and whether two blocks may hold the same records.

Blocks of any dataset, namespace and name are compared, and so are those that were deleted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from privatekube import errors
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity, Overlap
from privatekube.resources.wire import common
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

START, END, BUCKET, BUCKETS = "startTime", "endTime", "userBucket", "userBuckets"
_NUMBERS = (START, END, BUCKET, BUCKETS)
COPIES, KEPT = "exactCopies", "kept"
"""The attribute of a block whose owner kept exact copies of records, and its value; other blocks do not declare it."""
RECORD, A_RECORD = "recordName", "record"
"""The attribute of a block that says what its data calls a record, and what a record is called otherwise."""
RECORD_NAME = r"^[^\W\d_][\w -]{0,39}$"
"""What a record may be called: a word or a few, of letters of any script, digits and hyphens."""
_MOST_DAYS = 4000
"""A longer range of days is compared with everything, instead of being looked up day by day."""


def keeps_copies(block: PrivateDataBlock) -> bool:
    """Return whether a block declares that it may have exact copies of a record: its unit then covers one copy."""
    declared = block.dimension(COPIES)
    return declared is not None and declared.string_value == KEPT


def record_name(block: PrivateDataBlock) -> str:
    """Return what the data of a block calls a record: a review, a visit."""
    declared = block.dimension(RECORD)
    name = None if declared is None else declared.string_value
    return name if name is not None and re.fullmatch(RECORD_NAME, name) else A_RECORD


def whole_number(block: PrivateDataBlock, attribute: str) -> int | None:
    """Return what a block declares as a whole number of at least 1; None if it declares nothing.

    Raises:
        InvalidInput: it declares something else.
    """
    dimension = block.dimension(attribute)
    text = None if dimension is None else dimension.string_value or dimension.numeric_value
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise errors.invalid(attribute, text, "is not a whole number of at least 1", "add a condition on other blocks")
    return int(text)


@dataclass(frozen=True, slots=True)
class DeclaredData:
    """What a block declares about its data.

    Args:
        source: the URI of the data.
        numbers: its days and its bucket of users, by attribute, as far as it declares them.
        unit: privacy unit; None if it declares none.
        identity_id: of the identity of the data; None for a block that was not made by this library.
    """

    source: str
    numbers: tuple[tuple[str, str], ...] = ()
    unit: str | None = None
    identity_id: str | None = None

    @classmethod
    def of(cls, block: PrivateDataBlock) -> DeclaredData:
        """Return what a block declares."""
        dimensions = {item.attribute: item for item in reversed(block.spec.dimensions)}  # of two of a name, the first
        numbers = [(name, dimensions.get(name)) for name in _NUMBERS]
        given = tuple((name, item.numeric_value) for name, item in numbers if item and item.numeric_value is not None)
        unit = dimensions.get("unit")
        return cls(block.spec.data_source, given, unit.string_value if unit else None, block.identity_id)

    def number(self, attribute: str) -> Decimal | None:
        """Return a declared number; None if it is not declared."""
        return next((Decimal(value) for name, value in self.numbers if name == attribute), None)

    @property
    def days(self) -> tuple[Decimal, Decimal] | None:
        """The first and the last day; None if either is not declared."""
        start, end = self.number(START), self.number(END)
        return None if start is None or end is None else (start, end)

    @property
    def bucket(self) -> tuple[Decimal, Decimal] | None:
        """The bucket of users and the number of buckets; None if either is not declared."""
        bucket, buckets = self.number(BUCKET), self.number(BUCKETS)
        return None if bucket is None or buckets is None else (bucket, buckets)

    def overlaps(self, other: DeclaredData) -> bool:
        """Return whether both declare days, some of them in common, and not disjoint users."""
        if self.days is None or other.days is None or are_disjoint(self.days, other.days):
            return False
        return not self.is_apart_by_users(other)

    def is_apart_by_users(self, other: DeclaredData) -> bool:
        """Return whether both are buckets of as many, and not the same bucket."""
        mine, theirs = self.bucket, other.bucket
        return mine is not None and theirs is not None and mine[1] == theirs[1] and mine[0] != theirs[0]

    def to_json(self) -> Json:
        """Return the form in which the record of deleted data keeps it."""
        given = {"numbers": dict(self.numbers), "unit": self.unit, "identity": self.identity_id}
        return {"dataSource": self.source, **common.present(given)}

    @classmethod
    def from_json(cls, fields: Reader) -> DeclaredData:
        """Read what `to_json` wrote."""
        numbers = fields.child("numbers")
        given = [(name, numbers.optional_text(name)) for name in _NUMBERS]
        present = tuple((name, value) for name, value in given if value is not None)
        unit, identity = fields.optional_text("unit"), fields.optional_text("identity")
        return cls(fields.text("dataSource", ""), present, unit, identity)


class Partition(NamedTuple):
    """What spreads users over buckets: a dataset without identities, or a key, and the number of buckets."""

    dataset: str | None
    key_id: str | None
    n_buckets: Decimal


@dataclass(frozen=True, slots=True)
class KnownData:
    """All that the control plane knows of the data of a block, alive or deleted.

    Args:
        dataset: of the block.
        digest: of the data, as the block states it; None if it states none.
        declared: None for a block that an earlier version deleted: its record has no more than dataset and digest.
        identity: None if the data has none.
    """

    dataset: str
    digest: str | None
    declared: DeclaredData | None
    identity: DataIdentity | None

    @property
    def is_by_hand(self) -> bool:
        """Whether nothing is stated of the content, as in PrivateKube's manifests."""
        return self.digest is None and self.identity is None

    def overlap(self, other: KnownData) -> Overlap:
        """Return whether the two have a record in common, as far as that can be told.

        1. The same digest: the same data.
        2. Disjoint buckets of users, by one partition: different records, unless both identities are of one bucket and
           share a record hash: then a bucket was declared wrongly.
        3. A shared record hash: the same data, whatever is declared.
        4. Disjoint days: different records.
        5. The same URI, or one dataset and overlapping days: the same data.
        6. Otherwise the identities decide, by their sketches and by what the owner compared record by record; without
           them, blocks that state a digest cannot be told apart.

        Two blocks that were declared by hand, with neither digest nor identity, are compared by URI alone: what else
        they declare may tell them apart. The record of a block that an earlier version deleted does not say which days
        it had: it may overlap with all blocks of its dataset, and cannot be compared with others.
        """
        if self.digest is not None and self.digest == other.digest:
            return Overlap.SAME
        if self.declared is None or other.declared is None:
            return Overlap.SAME if self.dataset == other.dataset else Overlap.UNKNOWN
        by_identity, is_of_slices = None, True
        if self.identity is not None and other.identity is not None:
            by_identity = self.identity.overlap(other.identity)
            if by_identity is Overlap.UNKNOWN and (_is_apart(self, other) or _is_apart(other, self)):
                by_identity = Overlap.DIFFERENT
            is_of_slices = self.identity.covers_all_users or other.identity.covers_all_users
        if self._is_apart_by_users(other) and (is_of_slices or by_identity is not Overlap.SAME):
            return Overlap.DIFFERENT
        if by_identity is Overlap.SAME:
            return Overlap.SAME
        return self._overlap_by_declaration(other, self.declared, other.declared) or by_identity or Overlap.DIFFERENT

    def _overlap_by_declaration(self, other: KnownData, mine: DeclaredData, theirs: DeclaredData) -> Overlap | None:
        """Return what rules 4 to 6 say of data without a shared record hash; None where the identities decide."""
        if are_disjoint(mine.days, theirs.days):
            return Overlap.DIFFERENT
        if "://" in mine.source and mine.source == theirs.source:
            return Overlap.SAME
        are_overlapping = mine.days is not None and theirs.days is not None
        if self.dataset == other.dataset:
            return Overlap.SAME if are_overlapping and not (self.is_by_hand and other.is_by_hand) else None
        has_both = self.identity is not None and other.identity is not None
        return Overlap.UNKNOWN if are_overlapping and not has_both and self._has_digest(other) else None

    def days(self) -> set[int] | None:
        """Return the days of the data, declared or seen in its identity; None: it has to be compared with all data.

        Data of other days is different, unless it has the same digest.
        """
        declared = self.declared
        if declared is None or declared.days is None or declared.days[1] - declared.days[0] > _MOST_DAYS:
            return None
        first, last = declared.days
        return {*range(math.floor(first), math.floor(last) + 1), *(self.identity.days if self.identity else ())}

    @property
    def users(self) -> tuple[Partition | None, Decimal | None]:
        """The partition of the users, and the bucket of it: two buckets of one partition are different by rule 2.

        There is no partition where rule 2 depends on more than what both declare.
        """
        bucket = None if self.declared is None else self.declared.bucket
        if bucket is None or (self.identity is not None and not self.identity.covers_all_users):
            return None, None
        key_id = None if self.identity is None else self.identity.partition_key_id
        return Partition(self.dataset if key_id is None else None, key_id, bucket[1]), bucket[0]

    def _is_apart_by_users(self, other: KnownData) -> bool:
        """Return whether both are buckets of one partition of the users, and not the same bucket."""
        if self.declared is None or other.declared is None or not self.declared.is_apart_by_users(other.declared):
            return False
        if self.identity is None or other.identity is None:
            return self.dataset == other.dataset
        return self.identity.partition_key_id == other.identity.partition_key_id

    def _has_digest(self, other: KnownData) -> bool:
        """Return whether the one without an identity states a digest: then it was cut by an earlier version."""
        return all(data.identity is not None or data.digest is not None for data in (self, other))


def _is_apart(mine: KnownData, theirs: KnownData) -> bool:
    """Return whether the owner looked for each record of the one in the other, and found none."""
    return mine.identity is not None and theirs.digest in mine.identity.apart_from


def are_disjoint(mine: tuple[Decimal, Decimal] | None, theirs: tuple[Decimal, Decimal] | None) -> bool:
    """Return whether two ranges of days have no day in common; one that is not declared may be any."""
    return mine is not None and theirs is not None and (mine[1] < theirs[0] or theirs[1] < mine[0])
