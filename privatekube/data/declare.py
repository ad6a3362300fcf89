"""Write the blocks of a source, and declare them as resources."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from privatekube import errors
from privatekube.data import block_file, columns, identify, partition
from privatekube.data.partition import Slice
from privatekube.data.read_report import FileCounts
from privatekube.data.sources import Source
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.meta import CONTENT_DIGEST, DATA_IDENTITY, ObjectMeta
from privatekube.storage import uris

ACCOUNTINGS = ("epsdel", "renyi")
USER_DAY_BOUND = 2
"""Default bound of a user-day: few users write more reviews in a day, and the noise grows with the bound."""
USER_BOUND = 5
"""Default bound of a user over all days: the noise of counts grows with the bound, that of training does not."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a data owner states about all blocks of a dataset.

    Args:
        dataset: its name.
        namespace: of the resources.
        kind: kind of slice: day, week, month, or all; a user over all days needs all.
        n_buckets: how many buckets the users are spread over.
        unit: privacy unit.
        max_contribution: maximum number of reviews of a unit in a block; 1 for events.
        initial_budget: of every block, for its whole life.
        folder: where the files go: a path or a remote prefix.
        keep_copies: keep exact copies of a record, and declare so.

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

    def __post_init__(self) -> None:
        partition.require_slices(self.kind, self.unit)


def initial_budget(epsilon: float, delta: float, accounting: str) -> PrivacyBudget:
    """Return a block's budget, as an (epsilon, delta) or as the Renyi capacities that guarantee it.

    Raises:
        InvalidInput: epsilon is not positive, delta is outside (0, 1), or the accounting is unknown.
        InvalidBudget: epsilon is too small for delta at every Renyi order.
    """
    if not epsilon > 0:
        raise errors.invalid("epsilon", epsilon, "must be greater than 0", "a block needs a budget: set --epsilon 10")
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of reviews")
    if accounting not in ACCOUNTINGS:
        raise errors.invalid("accounting", accounting, f"is not one of {', '.join(ACCOUNTINGS)}", "choose one")
    whole = EpsilonDelta(epsilon, delta)
    return renyi_filter.capacity(whole) if accounting == "renyi" else whole


def contribution_bound(unit: PrivacyUnit, max_contribution: int | None) -> int:
    """Return how many reviews a unit may have in a block: 1 for events, `max_contribution` or a default otherwise.

    Raises:
        InvalidInput: a bound for events, or one below 1.
    """
    if unit.is_one_record:
        if max_contribution not in (None, 1):
            raise errors.invalid("max-contribution", max_contribution, "is for --unit user-day or user", "leave it out")
        return 1
    if max_contribution is None:
        return USER_BOUND if unit is PrivacyUnit.USER else USER_DAY_BOUND
    if max_contribution < 1:
        raise errors.invalid("max-contribution", max_contribution, "must be at least 1", "set how many reviews count")
    return max_contribution


@dataclass(frozen=True, slots=True)
class DeclaredSlice:
    """The blocks of one slice of a source.

    Args:
        blocks: one for each bucket.
        identity: of all reviews of the slice; private to the data owner and the control plane.
    """

    blocks: tuple[PrivateDataBlock, ...]
    identity: DataIdentity


def write_slice(source: Source, days: Slice, declaration: Declaration, *, owner_key: bytes) -> DeclaredSlice:
    """Write one slice of a source as a file per bucket, and return the declaration of each, also of empty buckets.

    Which blocks exist must not depend on single reviews. A file that already has the same content is kept, so that its
    digest stays; only one of an earlier version, without a key, is written again.

    Raises:
        AlreadyExists: a file of that name has other data.
    """
    whole = partition.in_order(source.reviews(days))
    identity = identify.identify(whole, key=owner_key, partition_key_id=source.encoding.partition_key_id)
    blocks = []
    bucket = partition.bucket_of(whole.user, declaration.n_buckets)
    for number in range(declaration.n_buckets):
        part = whole.select(bucket == number)
        kept = partition.bound_contributions(part, unit=declaration.unit, max_contribution=declaration.max_contribution)
        metadata = _metadata(source, days, number, declaration)
        name = f"{declaration.dataset}-{partition.date_of(days.start_day).isoformat()}-{number}"
        location = uris.to_uri(uris.join(declaration.folder, f"{name}.h5"))
        blocks.append(_resource(name, location, _write(location, kept, metadata), metadata, declaration, identity))
    return DeclaredSlice(tuple(blocks), identity)


def _write(location: str, part: columns.Reviews, metadata: block_file.Metadata) -> str:
    try:
        existing = block_file.decode(uris.read_bytes(location), name=location)
    except (errors.NotFound, errors.CorruptData):
        existing = None
    if existing is not None and not block_file.is_copy(existing, part, metadata):
        raise errors.AlreadyExists(f"file: {location} has other data; use another --data-dir, or remove the file")
    if existing is not None and existing.has_key:
        return existing.digest
    data, digest = block_file.encode(part, metadata)
    uris.write_private(location, data)
    return digest


def _metadata(source: Source, days: Slice, bucket: int, declaration: Declaration) -> block_file.Metadata:
    return block_file.Metadata(
        dataset=declaration.dataset,
        start_day=days.start_day,
        end_day=days.end_day,
        bucket=bucket,
        n_buckets=declaration.n_buckets,
        **asdict(source.encoding),
        unit=declaration.unit,
        max_contribution=declaration.max_contribution,
        categories=source.categories,
    )


def _resource(  # noqa: PLR0917 - the parts of one resource
    name: str,
    location: str,
    digest: str,
    metadata: block_file.Metadata,
    declaration: Declaration,
    identity: DataIdentity,
) -> PrivateDataBlock:
    numbers = {
        "startTime": metadata.start_day,
        "endTime": metadata.end_day,
        "userBucket": metadata.bucket,
        "userBuckets": metadata.n_buckets,
        "maxContribution": metadata.max_contribution,
        "vocabularySize": metadata.vocabulary_size,
    }
    dimensions = [Dimension(attribute, numeric_value=str(value)) for attribute, value in numbers.items()]
    dimensions.append(Dimension("unit", string_value=metadata.unit.value))
    if declaration.keep_copies:
        dimensions.append(Dimension(declared_data.COPIES, string_value=declared_data.KEPT))
    return PrivateDataBlock(
        meta=ObjectMeta(name, declaration.namespace, annotations={CONTENT_DIGEST: digest, DATA_IDENTITY: identity.id}),
        spec=BlockSpec(declaration.initial_budget, declaration.dataset, location, tuple(dimensions)),
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
    location = uris.to_uri(uris.join(declaration.folder, f"{name}.h5"))
    digest = _write(location, kept, content.metadata)
    key_id = content.metadata.partition_key_id
    identity = identify.identify(kept, key=owner_key, partition_key_id=key_id, covers_all_users=False)
    return DeclaredSlice((_resource(name, location, digest, content.metadata, declaration, identity),), identity)
