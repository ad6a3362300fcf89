"""Find the blocks and the records of deleted blocks that may hold records of a new block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from privatekube.engine.world import Records
from privatekube.resources import ledger
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity, Overlap
from privatekube.resources.declared_data import DeclaredData, KnownData, Partition
from privatekube.resources.retired_data import RetiredData

Earlier = PrivateDataBlock | RetiredData


@dataclass(frozen=True, slots=True)
class Match:
    """An earlier block, alive or deleted, that may hold records of a new one.

    Args:
        earlier: the block, or the record of a deleted one.
        overlap: `Overlap.SAME` or `Overlap.UNKNOWN`.
    """

    earlier: Earlier
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class _Place:
    """An earlier block or record, with its number in the order of addition."""

    number: int
    item: Earlier
    known: KnownData


class Catalogue:
    """The data of blocks, alive and deleted, by what it is looked up by.

    Args:
        blocks: the blocks.
        records: of deleted data; its `retired` are added after the blocks.
    """

    def __init__(self, blocks: Iterable[PrivateDataBlock], records: Records) -> None:
        self._identities = records.identities
        self._retired = {(record.dataset, record.digest): record for record in records.retired}
        self._by_day: dict[int, dict[Partition | None, dict[Decimal | None, list[_Place]]]] = {}
        self._by_digest: dict[str, list[_Place]] = {}
        self._others: list[_Place] = []
        """What is compared with everything, because its days are not known."""
        self._all: list[_Place] = []
        self.add([*blocks, *records.retired])

    @classmethod
    def of_admitted(cls, blocks: Iterable[PrivateDataBlock], records: Records) -> Catalogue:
        """Return the catalogue of those of `blocks` that have a status, and of all deleted blocks."""
        return cls([block for block in blocks if block.status is not None], records)

    def identity_of(self, declared: DeclaredData | None) -> DataIdentity | None:
        """Return the identity that a block names; None if it names none, or one that is not there or is unreadable."""
        if declared is None or declared.identity_id is None:
            return None
        return self._identities.get(declared.identity_id)

    def record_of(self, block: PrivateDataBlock) -> RetiredData | None:
        """Return the record of deleted data that deleting this block would replace."""
        return self._retired.get((block.spec.dataset, ledger.data_key(block)))

    def add(self, earlier: Iterable[Earlier]) -> None:
        """Add blocks, or records of deleted ones."""
        for item in earlier:
            known = self._known(item)
            place = _Place(len(self._all), item, known)
            self._all.append(place)
            days = known.days()
            if days is None:
                self._others.append(place)
                continue
            if known.digest is not None:
                self._by_digest.setdefault(known.digest, []).append(place)
            for day in days:
                partition, bucket = known.users
                self._by_day.setdefault(day, {}).setdefault(partition, {}).setdefault(bucket, []).append(place)

    def matches(self, item: Earlier) -> Iterator[Match]:
        """Yield what may hold records of a block or record, in the order in which it was added."""
        known = self._known(item)
        for place in self._candidates(known):
            overlap = known.overlap(place.known)
            if place.item is not item and overlap is not Overlap.DIFFERENT:
                yield Match(place.item, overlap)

    def near(self, block: PrivateDataBlock) -> Iterator[PrivateDataBlock]:
        """Yield the blocks among which are all that declare a day and not other users in common with `block`."""
        places = self._candidates(self._known(block))
        yield from (place.item for place in places if isinstance(place.item, PrivateDataBlock))

    def _candidates(self, known: KnownData) -> list[_Place]:
        """Return the places of all data that is not certainly different."""
        days = known.days()
        if days is None:
            return self._all
        places = list(self._by_digest.get(known.digest or "", ()))
        for day in days:
            places += self._of_day(day, *known.users)
        distinct = {place.number: place for place in places}
        return [*(distinct[number] for number in sorted(distinct)), *self._others]

    def _of_day(self, day: int, partition: Partition | None, bucket: Decimal | None) -> Iterator[_Place]:
        """Yield what has records of a day, without the other buckets of the same partition of users."""
        for other_partition, buckets in self._by_day.get(day, {}).items():
            if partition is not None and partition == other_partition:
                yield from buckets.get(bucket, ())
            else:
                for places in buckets.values():
                    yield from places

    def _known(self, item: Earlier) -> KnownData:
        if isinstance(item, RetiredData):
            digest = None if item.digest.startswith(ledger.BY_NAME) else item.digest
            return KnownData(item.dataset, digest, item.declared, self.identity_of(item.declared))
        declared = DeclaredData.of(item)
        return KnownData(item.spec.dataset, item.content_digest, declared, self.identity_of(declared))
