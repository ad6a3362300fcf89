"""Write the blocks of a source, and declare them as resources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from privatekube import errors
from privatekube.data import block_file, partition
from privatekube.data.partition import Slice
from privatekube.data.sources import Source
from privatekube.privacy import budget
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.storage import uris

ACCOUNTINGS = ("epsdel", "renyi")
USER_DAY_BOUND = 2
"""Reviews of a user-day that count where nothing is said: few users write more in a day, and noise grows with it."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a data owner says about all blocks of a dataset.

    Args:
        dataset: its name.
        namespace: of the resources.
        kind: slice: day, week or month.
        n_buckets: how many buckets the users are spread over.
        unit: privacy unit, event or user-day.
        max_contribution: reviews of a unit in a block; 1 for events.
        initial_budget: of every block, for its whole life.
        folder: where the files go: a path or a remote prefix.
    """

    dataset: str
    namespace: str
    kind: str
    n_buckets: int
    unit: str
    max_contribution: int
    initial_budget: PrivacyBudget
    folder: str


def initial_budget(epsilon: float, delta: float, accounting: str) -> PrivacyBudget:
    """A block's budget, as an (epsilon, delta) or as the Renyi curve that implies it.

    Raises:
        InvalidInput: epsilon that is not positive, delta outside (0, 1), an unknown accounting.
    """
    if not epsilon > 0:
        raise errors.invalid("epsilon", epsilon, "must be greater than 0", "a block needs a budget: set --epsilon 10")
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of reviews")
    if accounting not in ACCOUNTINGS:
        raise errors.invalid("accounting", accounting, f"is not one of {', '.join(ACCOUNTINGS)}", "choose one")
    whole = EpsilonDelta(epsilon, delta)
    return budget.to_renyi(whole) if accounting == "renyi" else whole


def require_bound(unit: str, max_contribution: int | None) -> int:
    """The contribution bound that goes with a unit: 1 for events, what was asked or the default for user-days.

    Raises:
        InvalidInput: an unknown unit, a bound for events, or one below 1.
    """
    if unit not in block_file.UNITS:
        raise errors.invalid("unit", unit, f"is not one of {', '.join(block_file.UNITS)}", "choose one of them")
    if unit == "event":
        if max_contribution not in (None, 1):
            raise errors.invalid("max-contribution", max_contribution, "is for --unit user-day", "leave it out")
        return 1
    if max_contribution is None:
        return USER_DAY_BOUND
    if max_contribution < 1:
        raise errors.invalid("max-contribution", max_contribution, "must be at least 1", "say how many reviews count")
    return max_contribution


def write_slice(source: Source, days: Slice, owner: Declaration) -> Iterator[PrivateDataBlock]:
    """Write one slice of a source as a file per bucket, and declare each; empty buckets too.

    Which blocks exist must not depend on single reviews. A file that is there with the same content stays as it is.
    """
    whole = partition.in_order(source.reviews(days))
    bucket = partition.bucket_of(whole.user, owner.n_buckets)
    for number in range(owner.n_buckets):
        part = whole.select(bucket == number)
        kept = partition.bounded(part, unit=owner.unit, max_contribution=owner.max_contribution)
        metadata = _metadata(source, days, number, owner)
        name = f"{owner.dataset}-{partition.date_of(days.start_day).isoformat()}-{number}"
        location = uris.to_uri(uris.join(owner.folder, f"{name}.h5"))
        yield _declared(name, location, _write(location, kept, metadata), metadata, owner)


def _write(location: str, part: block_file.Reviews, metadata: block_file.Metadata) -> str:
    data, digest = block_file.encode(part, metadata)
    try:
        if block_file.decode(uris.read_bytes(location), name=location).digest == digest:
            return digest
        raise errors.AlreadyExists(
            f"file: {location} holds other data; use another --dataset or --data-dir, or remove the file"
        )
    except (errors.NotFound, errors.CorruptData):
        uris.write_bytes(location, data, overwrite=True)
    return digest


def _metadata(source: Source, days: Slice, bucket: int, owner: Declaration) -> block_file.Metadata:
    return block_file.Metadata(
        dataset=owner.dataset,
        start_day=days.start_day,
        end_day=days.end_day,
        bucket=bucket,
        n_buckets=owner.n_buckets,
        **asdict(source.encoding),
        unit=owner.unit,
        max_contribution=owner.max_contribution,
        categories=source.categories,
    )


def _declared(
    name: str, location: str, digest: str, metadata: block_file.Metadata, owner: Declaration
) -> PrivateDataBlock:
    numbers = {
        "startTime": metadata.start_day,
        "endTime": metadata.end_day,
        "userBucket": metadata.bucket,
        "userBuckets": metadata.n_buckets,
        "maxContribution": metadata.max_contribution,
    }
    dimensions = [Dimension(attribute, numeric_value=str(value)) for attribute, value in numbers.items()]
    dimensions.append(Dimension("unit", string_value=metadata.unit))
    return PrivateDataBlock(
        meta=ObjectMeta(name, owner.namespace, annotations={CONTENT_DIGEST: digest}),
        spec=BlockSpec(owner.initial_budget, owner.dataset, location, tuple(dimensions)),
    )


def published_block(file: str, owner: Declaration) -> PrivateDataBlock:
    """Declare one of PrivateKube's published files where it is; it must be readable as it is."""
    content = block_file.decode(uris.read_bytes(file), name=file)
    name = f"{owner.dataset}-{file.rsplit('/', 1)[-1].removesuffix('.h5').lower()}"
    return _declared(name, uris.to_uri(file), content.digest, content.metadata, owner)
