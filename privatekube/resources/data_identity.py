"""The identity of the data that blocks were cut from, by which the same data is recognised however it is cut and named.

It is a bottom-k sketch: of each day, the smallest of the records' keyed hashes (Cohen and Kaplan, "Summarizing Data
using Bottom-k Sketches", PODC 2007). Below the smaller limit of two sketches of a day both are complete, so a record
that both data sets have shows there. All blocks of one slice share the identity of the whole slice, before users are
spread over buckets and before contributions are bounded: neither changes it.

The hashes are under a secret key of the data owner, and an identity is private to the data owner and the control plane:
who has it and the key could test a guess of a record.
"""

from __future__ import annotations

import base64
import bisect
import enum
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from privatekube import errors
from privatekube.resources.wire.common import Json

ALL = 2**64
"""Limit of a sketch that has the hashes of all records: hashes are 64-bit numbers."""
LEAST_ENTRIES = 8
"""How many entries below the common limit each side needs to be told apart.

Where nine of ten records of one data set are in the other, all of 8 entries are missing there with a probability of at
most 0.1^8. A smaller share of a data set is recognised by a single entry, for the other side is complete there.
"""


class Overlap(enum.Enum):
    """Whether two data sets have a record in common."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DaySketch:
    """The smallest record hashes of one day.

    Args:
        hashes: distinct, ascending, below `limit`.
        limit: every record hash of the day that is below it is in `hashes`; `ALL` if all of them are.

    Raises:
        InvalidInput: hashes that are not ascending, or out of range.
    """

    hashes: tuple[int, ...]
    limit: int = ALL

    def __post_init__(self) -> None:
        is_ascending = all(low < high for low, high in zip(self.hashes, self.hashes[1:], strict=False))
        if not is_ascending or any(not 0 <= value < self.limit for value in self.hashes) or self.limit > ALL:
            raise errors.InvalidInput("sketch: its hashes are not ascending, or not below its limit; make it again")

    def below(self, limit: int) -> int:
        """Return how many hashes are below a limit."""
        return bisect.bisect_left(self.hashes, limit)

    def shares_with(self, other: DaySketch) -> bool:
        """Return whether a hash is in both."""
        return not set(self.hashes).isdisjoint(other.hashes)


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """What the records of one slice of a source are recognised by.

    Args:
        id: random; the public name of the identity.
        key_id: of the secret key that the records were hashed with.
        partition_key_id: name of the public key that users are hashed with; another one makes other records of them.
        days: the sketch of each day that has records, by day.
        covers_all_users: whether it is of the whole slice. False for one block of a data set that another program cut:
            its bucket is what the owner declares.
        apart_from: content digests of other blocks in which the owner looked for each record of these blocks, and found
            none: where sketches cannot tell two data sets apart.
    """

    id: str
    key_id: str
    partition_key_id: str
    days: Mapping[int, DaySketch]
    covers_all_users: bool = True
    apart_from: frozenset[str] = frozenset()

    def overlap(self, other: DataIdentity) -> Overlap:
        """Return whether two slices have a record in common."""
        if self.id == other.id:
            return Overlap.SAME
        if (self.key_id, self.partition_key_id) != (other.key_id, other.partition_key_id):
            return Overlap.UNKNOWN
        pairs = [(self.days[day], other.days[day]) for day in sorted(self.days.keys() & other.days.keys())]
        if any(mine.shares_with(theirs) for mine, theirs in pairs):
            return Overlap.SAME
        limits = [min(mine.limit, theirs.limit) for mine, theirs in pairs]
        if all(limit == ALL for limit in limits):
            return Overlap.DIFFERENT
        entries = [sum(pair[side].below(limit) for pair, limit in zip(pairs, limits, strict=True)) for side in (0, 1)]
        return Overlap.DIFFERENT if min(entries) >= LEAST_ENTRIES else Overlap.UNKNOWN

    def to_json(self) -> Json:
        """Return the form in which a store keeps it, without its id."""
        days = {
            str(day): {"limit": str(sketch.limit), "hashes": _packed(sketch.hashes)}
            for day, sketch in sorted(self.days.items())
        }
        keys = {"keyId": self.key_id, "partitionKeyId": self.partition_key_id}
        compared = {"apartFrom": sorted(self.apart_from)} if self.apart_from else {}
        return {**keys, "coversAllUsers": self.covers_all_users, **compared, "days": days}

    @classmethod
    def from_json(cls, identity_id: str, document: Json) -> DataIdentity:
        """Read what `to_json` wrote.

        Raises:
            CorruptData: it is malformed.
        """
        try:
            days = {int(day): _sketch(fields) for day, fields in document["days"].items()}
            keys = str(document["keyId"]), str(document["partitionKeyId"])
            covers_all_users = bool(document.get("coversAllUsers", True))
            return cls(identity_id, *keys, days, covers_all_users, frozenset(map(str, document.get("apartFrom", ()))))
        except (KeyError, ValueError, TypeError, AttributeError, struct.error, errors.InvalidInput) as error:
            raise errors.CorruptData(f"identity {identity_id}: cannot be read; restore a backup") from error

    def to_text(self) -> str:
        """Return `to_json` as text."""
        return json.dumps(self.to_json(), separators=(",", ":"))


def _sketch(fields: Json) -> DaySketch:
    packed = base64.b64decode(fields["hashes"], validate=True)
    hashes = struct.unpack(f"<{len(packed) // 8}Q", packed)
    return DaySketch(hashes, int(fields["limit"]))


def _packed(hashes: tuple[int, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(hashes)}Q", *hashes)).decode()
