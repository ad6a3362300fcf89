"""The catalogue of data: it looks few blocks up, and finds what a comparison with all of them finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from privatekube.engine.catalogue import Catalogue
from privatekube.engine.world import Records
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity, DaySketch, Overlap
from privatekube.resources.declared_data import DeclaredData, KnownData
from privatekube.resources.meta import CONTENT_DIGEST, DATA_IDENTITY
from tests import builders

DAYS, BUCKETS = 3, 3
IDENTITIES: Mapping[str, DataIdentity] = {
    f"{key}{day}{whole}": DataIdentity(f"{key}{day}{whole}", "owner", key, {day: sketch}, covers_all_users=bool(whole))
    for key in "pq"
    for day, sketch in enumerate((DaySketch((1, 5)), DaySketch((5, 9)), DaySketch((7,))))
    for whole in (0, 1)
}


def declared(
    dataset: str, digest: str | None, identity: str | None, day: int | None, bucket: int, n_buckets: int
) -> PrivateDataBlock:
    """Return a block that declares this."""
    block = builders.block("b", dataset=dataset, digest=digest, day=day, bucket=bucket, buckets=n_buckets)
    named = {} if identity is None else {DATA_IDENTITY: identity}
    return replace(block, meta=replace(block.meta, annotations={**block.meta.annotations, **named}))


blocks = st.builds(
    declared,
    dataset=st.sampled_from("xy"),
    digest=st.none() | st.sampled_from("abc"),
    identity=st.none() | st.sampled_from(sorted(IDENTITIES)) | st.just("gone"),
    day=st.none() | st.integers(0, DAYS - 1),
    bucket=st.integers(0, BUCKETS - 1),
    n_buckets=st.integers(1, BUCKETS),
)


def known(block: PrivateDataBlock) -> KnownData:
    """Return what is known of the data of a block."""
    data = DeclaredData.of(block)
    identity = IDENTITIES.get(data.identity_id or "")
    return KnownData(block.spec.dataset, block.meta.annotations.get(CONTENT_DIGEST), data, identity)


@given(st.lists(blocks, max_size=12), blocks)
def test_it_finds_what_a_comparison_with_all_blocks_finds(
    earlier: list[PrivateDataBlock], new: PrivateDataBlock
) -> None:
    found = Catalogue(earlier, Records(identities=IDENTITIES)).matches(new)
    pairs = [(block, known(new).overlap(known(block))) for block in earlier]
    expected = [(id(block), overlap) for block, overlap in pairs if overlap is not Overlap.DIFFERENT]
    assert sorted((id(match.earlier), match.overlap) for match in found) == sorted(expected)


@given(st.lists(blocks, max_size=12), blocks)
def test_all_blocks_that_declare_common_days_and_users_are_near(
    earlier: list[PrivateDataBlock], new: PrivateDataBlock
) -> None:
    near = {id(block) for block in Catalogue(earlier, Records(identities=IDENTITIES)).near(new)}
    overlapping = [
        block
        for block in earlier
        if block.spec.dataset == new.spec.dataset and DeclaredData.of(block).overlaps(DeclaredData.of(new))
    ]
    assert {id(block) for block in overlapping} <= near


def test_a_block_is_compared_with_its_own_bucket_of_its_own_day_alone() -> None:
    earlier = [declared("x", None, None, day, bucket, 100) for day in range(3) for bucket in range(100)]
    catalogue = Catalogue(earlier, Records())
    assert list(catalogue.near(declared("x", None, None, 1, 42, 100))) == [earlier[142]]
