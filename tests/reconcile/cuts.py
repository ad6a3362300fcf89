"""A small source of reviews in memory, and blocks cut from it in many ways, without files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from privatekube.data import columns, identify, partition
from privatekube.data.columns import Reviews
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.meta import CONTENT_DIGEST, DATA_IDENTITY, ObjectMeta

KEY = bytes(range(32))
FIRST_BUDGET = EpsilonDelta(1.0, 1e-6)
DAYS, REVIEWS_A_DAY, USERS = 6, 40, 12


def source(seed: int = 0) -> Reviews:
    """Return DAYS days of reviews; a review's first token is its number, by which tests know it."""
    generator = np.random.default_rng(seed)
    count = DAYS * REVIEWS_A_DAY
    day = np.repeat(np.arange(DAYS), REVIEWS_A_DAY)
    second = generator.integers(0, columns.SECONDS_PER_DAY, count)
    return Reviews(
        user=generator.integers(0, USERS, count) * 7919 + seed,
        product=generator.integers(0, 2**40, count),
        time=columns.FIRST_DAY_SECONDS + day * columns.SECONDS_PER_DAY + second,
        category=np.zeros(count, np.int16),
        stars=np.full(count, 5, np.int8),
        summary_length=np.zeros(count, np.int32),
        tokens=np.arange(count, dtype=np.int32),
        offsets=np.arange(count + 1),
    )


@dataclass(frozen=True)
class Cut:
    """How a data owner makes blocks of a source.

    Args:
        namespace, dataset: of the blocks.
        start_day, end_day: which days, both inclusive.
        width: days in a block.
        buckets: of users.
        unit: privacy unit; at most 2 reviews of a user-day are kept.
        left_out: share of the reviews that is missing, chosen at random.
        seed: of that choice and of the order.
        budget: of each block.
    """

    namespace: str = "ns"
    dataset: str = "d"
    start_day: int = 0
    end_day: int = DAYS - 1
    width: int = 1
    buckets: int = 1
    unit: PrivacyUnit = PrivacyUnit.EVENT
    left_out: float = 0.0
    seed: int = 0
    budget: PrivacyBudget = FIRST_BUDGET


@dataclass
class Made:
    """Blocks, their identities, and the numbers of the reviews in each block, by its digest."""

    blocks: list[PrivateDataBlock] = field(default_factory=list)
    identities: list[DataIdentity] = field(default_factory=list)
    reviews: dict[str, frozenset[int]] = field(default_factory=dict)


def make(whole: Reviews, cut: Cut) -> Made:
    """Cut blocks as `data.declare` does, without writing files."""
    generator = np.random.default_rng(cut.seed)
    order = generator.permutation(len(whole))[round(cut.left_out * len(whole)) :]
    thinned, made = whole.select(order), Made()
    for start in range(cut.start_day, cut.end_day + 1, cut.width):
        end = min(start + cut.width - 1, cut.end_day)
        part = thinned.select((thinned.day >= start) & (thinned.day <= end))
        identity = identify.identify(part, key=KEY, partition_key_id="partition")
        made.identities.append(identity)
        for block, numbers in _buckets(part, cut, (start, end), identity):
            made.blocks.append(block)
            made.reviews[block.content_digest or ""] = numbers
    return made


def _buckets(
    part: Reviews, cut: Cut, days: tuple[int, int], identity: DataIdentity
) -> Iterator[tuple[PrivateDataBlock, frozenset[int]]]:
    bucket_of = partition.bucket_of(part.user, cut.buckets)
    for bucket in range(cut.buckets):
        kept = partition.bound_contributions(part.select(bucket_of == bucket), unit=cut.unit, max_contribution=2)
        numbers = sorted(kept.tokens.tolist())
        numbered = {"startTime": days[0], "endTime": days[1], "userBucket": bucket, "userBuckets": cut.buckets}
        dimensions = [Dimension(name, numeric_value=str(value)) for name, value in numbered.items()]
        dimensions.append(Dimension("unit", string_value=cut.unit.value))
        annotations = {CONTENT_DIGEST: _digest(cut, days, bucket, kept), DATA_IDENTITY: identity.id}
        name = f"{cut.dataset}-{days[0]}-{bucket}"
        uri = f"file:///{cut.namespace}/{annotations[CONTENT_DIGEST]}.h5"
        spec = BlockSpec(cut.budget, cut.dataset, uri, tuple(dimensions))
        yield PrivateDataBlock(ObjectMeta(name, cut.namespace, annotations=annotations), spec), frozenset(numbers)


def _digest(cut: Cut, days: tuple[int, int], bucket: int, kept: Reviews) -> str:
    """Return the digest that a kept file would have: the same for the same content and declaration."""
    content = sorted(zip(kept.tokens.tolist(), kept.product.tolist(), strict=True))  # sources number theirs alike
    about = (cut.dataset, days, bucket, cut.buckets, cut.unit.value, content)
    return f"hmac-sha256:{hashlib.sha256(repr(about).encode()).hexdigest()}"
