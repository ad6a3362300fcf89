"""Write the blocks of a source, and declare them as resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from privatekube import errors
from privatekube.data import any_block, block_file, identify, metadata, partition, sealed_file, wording
from privatekube.data.identify import HashesByDay
from privatekube.data.metadata import Cut
from privatekube.data.partition import Slice
from privatekube.data.read_report import FileCounts
from privatekube.data.records import Records
from privatekube.data.sources import RecordKind, Source
from privatekube.data.wording import Wording
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.meta import CONTENT_DIGEST, DATA_IDENTITY, ObjectMeta
from privatekube.storage import uris

R = TypeVar("R", bound=Records)
ACCOUNTINGS = ("epsdel", "renyi")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a data owner states about all blocks of a dataset.

    Args:
        dataset: its name.
        namespace: of the resources.
        kind: kind of slice: day, week, month, or all; a user over all days needs all.
        n_buckets: how many buckets the users are spread over.
        unit: privacy unit.
        max_contribution: maximum number of records of a unit in a block; 1 for events.
        initial_budget: of every block, for its whole life.
        folder: where the files go: a path or a remote prefix.
        keep_copies: keep exact copies of a record, and declare so.
        record_name: what the data calls a record, in one word or a few.
        wording: how the owner wrote this.

    Raises:
        InvalidInput: the slices would spread a unit over several blocks.
    """

    dataset: str
    namespace: str
    kind: str
    n_buckets: int
    unit: PrivacyUnit
    max_contribution: int
    initial_budget: PrivacyBudget
    folder: str
    keep_copies: bool = False
    record_name: str = declared_data.A_RECORD
    wording: Wording = wording.KEYS

    def __post_init__(self) -> None:
        partition.require_slices(self.kind, self.unit, self.wording)

    def name_of(self, days: Slice, bucket: int) -> str:
        """Return the name of the block of a slice and bucket."""
        return f"{self.dataset}-{partition.date_of(days.start_day).isoformat()}-{bucket}"

    def location_of(self, days: Slice, bucket: int) -> str:
        """Return the URI of its file."""
        return self.location(self.name_of(days, bucket))

    def location(self, name: str) -> str:
        """Return the URI of the file of the block with a name."""
        return uris.to_uri(uris.join(self.folder, f"{name}.h5"))

    def cut(self, days: Slice, *, bucket: int, partition_key_id: str) -> Cut:
        """Return what the block of a slice and bucket is of the dataset."""
        return Cut(
            dataset=self.dataset,
            start_day=days.start_day,
            end_day=days.end_day,
            bucket=bucket,
            n_buckets=self.n_buckets,
            partition_key_id=partition_key_id,
            unit=self.unit,
            max_contribution=self.max_contribution,
        )


def initial_budget(epsilon: float, delta: float, accounting: str) -> PrivacyBudget:
    """Return a block's budget, as an (epsilon, delta) or as the Renyi capacities that guarantee it.

    Raises:
        InvalidInput: epsilon is not positive, delta is outside (0, 1), or the accounting is unknown.
        InvalidBudget: epsilon is too small for delta at every Renyi order.
    """
    if not epsilon > 0:
        raise errors.invalid("epsilon", epsilon, "must be greater than 0", "a block needs a budget: set --epsilon 10")
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of records")
    if accounting not in ACCOUNTINGS:
        raise errors.invalid("accounting", accounting, f"is not one of {', '.join(ACCOUNTINGS)}", "choose one")
    whole = EpsilonDelta(epsilon, delta)
    return renyi_filter.capacity(whole) if accounting == "renyi" else whole


@dataclass(frozen=True, slots=True)
class DeclaredSlice:
    """The blocks of one slice of a source.

    Args:
        blocks: one for each bucket.
        identity: of all reviews of the slice; private to the data owner and the control plane.
    """

    blocks: tuple[PrivateDataBlock, ...]
    identity: DataIdentity


@dataclass(frozen=True, eq=False)
class WrittenBlock:
    """A block whose file is written.

    Args:
        bucket: its users.
        digest: the commitment to its content.
        hashes: what the identity of its slice needs of its records.
    """

    bucket: int
    digest: str
    hashes: HashesByDay


def write_slice(source: Source[R], days: Slice, declaration: Declaration, *, owner_key: bytes) -> DeclaredSlice:
    """Write one slice of a source as a file per bucket, and return the declaration of each, also of empty buckets.

    Which blocks exist must not depend on single records.

    Raises:
        AlreadyExists: a file of that name has other data.
    """
    whole = source.records(days)
    bucket = partition.bucket_of(whole.user, declaration.n_buckets)
    written = [
        write_block(source.kind, whole.select(bucket == number), days, number, declaration, owner_key=owner_key)
        for number in range(declaration.n_buckets)
    ]
    return declared_slice(source.kind, written, days, declaration, owner_key=owner_key)


def write_block(
    kind: RecordKind[R], records: R, days: Slice, bucket: int, declaration: Declaration, *, owner_key: bytes
) -> WrittenBlock:
    """Write the file of a block.

    A file that already has the same content is kept, so that its digest stays; only one of an earlier version, without
    a key, is written again.

    Args:
        kind: of the records.
        records: all of a slice and bucket.
        days: the slice.
        bucket: its users.
        declaration: what the owner states about all blocks.
        owner_key: of the data owner, to identify the data.

    Raises:
        AlreadyExists: a file of that name has other data.
    """
    hashes = identify.hashes_by_day(records, key=owner_key)
    kept = partition.bound_contributions(records, unit=declaration.unit, max_contribution=declaration.max_contribution)
    content = kind.content(kept, declaration.cut(days, bucket=bucket, partition_key_id=kind.partition_key_id))
    return WrittenBlock(bucket, _write(declaration.location_of(days, bucket), content), hashes)


def declared_slice(
    kind: RecordKind[R], written: Sequence[WrittenBlock], days: Slice, declaration: Declaration, *, owner_key: bytes
) -> DeclaredSlice:
    """Return the declaration of the blocks of a slice, all of which are written."""
    identity = identify.identity(
        [block.hashes for block in written], key=owner_key, partition_key_id=kind.record_key_id
    )
    blocks = [
        _resource(
            declaration.name_of(days, block.bucket),
            block.digest,
            declaration.cut(days, bucket=block.bucket, partition_key_id=kind.partition_key_id),
            declaration,
            identity,
            kind.dimensions,
        )
        for block in written
    ]
    return DeclaredSlice(tuple(blocks), identity)


def _write(location: str, content: sealed_file.Content) -> str:
    """Write a file, unless it is there; return its digest."""
    try:
        existing = _existing(location)
    except errors.NotFound:
        return _create(location, content)
    if existing is not None:
        if existing.content.digest != content.digest:
            remedy = "use another --data-dir, or remove the file if `privatekube blocks list` does not show its block"
            raise errors.AlreadyExists(f"file: {location} has other data; {remedy}")
        if existing.digest.startswith(sealed_file.COMMITMENT):
            return existing.digest
    data, digest = sealed_file.encode(content)
    uris.write_private(location, data)
    return digest


def _create(location: str, content: sealed_file.Content) -> str:
    data, digest = sealed_file.encode(content)
    try:
        uris.write_private(location, data, overwrite=False)
    except errors.AlreadyExists:  # another attempt at the same block was faster; its file stays
        return _write(location, content)
    return digest


def _existing(location: str) -> any_block.AnyBlock | None:
    """Return the block of a file; None for a damaged one."""
    data = uris.read_bytes(location)
    try:
        return any_block.decode(data, name=location)
    except errors.CorruptData:
        return None


def _resource(  # noqa: PLR0917 - the parts of one resource
    name: str,
    digest: str,
    cut: Cut,
    declaration: Declaration,
    identity: DataIdentity,
    further: Mapping[str, int],
) -> PrivateDataBlock:
    numbers = {
        "startTime": cut.start_day,
        "endTime": cut.end_day,
        "userBucket": cut.bucket,
        "userBuckets": cut.n_buckets,
        "maxContribution": cut.max_contribution,
        **further,
    }
    dimensions = [Dimension(attribute, numeric_value=str(value)) for attribute, value in numbers.items()]
    dimensions.append(Dimension("unit", string_value=cut.unit.value))
    if declaration.record_name != declared_data.A_RECORD:
        dimensions.append(Dimension(declared_data.RECORD, string_value=declaration.record_name))
    if declaration.keep_copies:
        dimensions.append(Dimension(declared_data.COPIES, string_value=declared_data.KEPT))
    return PrivateDataBlock(
        meta=ObjectMeta(name, declaration.namespace, annotations={CONTENT_DIGEST: digest, DATA_IDENTITY: identity.id}),
        spec=BlockSpec(declaration.initial_budget, declaration.dataset, declaration.location(name), tuple(dimensions)),
    )


def published_block(file: str, declaration: Declaration, *, owner_key: bytes, counts: FileCounts) -> DeclaredSlice:
    """Copy one of PrivateKube's published files as a block file, and return its declaration.

    The published format has no place for the key of a digest.

    Args:
        file: named `{day}-{bucket}.h5`; the name is public and declares both.
        declaration: what the owner states about all blocks.
        owner_key: of the data owner, to identify the data.
        counts: gets the numbers of reviews, for the data owner alone.

    Raises:
        CorruptData: the file cannot be read, or has reviews of another day than its name says.
        AlreadyExists: a file of that name has other data.
    """
    content = block_file.decode(uris.read_bytes(file), name=file)
    kept = content.reviews if declaration.keep_copies else partition.without_copies(content.reviews)
    counts.kept += len(kept)
    counts.exact_copies += len(content.reviews) - len(kept)
    name = f"{declaration.dataset}-{file.rsplit('/', 1)[-1].removesuffix('.h5').lower()}"
    declared = content.metadata
    digest = _write(declaration.location(name), metadata.content(kept, declared))
    key_id = declared.partition_key_id
    identity = identify.identify(kept, key=owner_key, partition_key_id=key_id, covers_all_users=False)
    further = {metadata.VOCABULARY: declared.vocabulary_size}
    return DeclaredSlice((_resource(name, digest, declared.cut, declaration, identity, further),), identity)
