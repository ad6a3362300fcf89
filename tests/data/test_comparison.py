"""An owner who has the files tells blocks apart that sketches cannot, and names none that shares a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from privatekube.data import any_block, block_file, comparison, identify, partition
from privatekube.data.columns import Reviews
from privatekube.data.declare import DeclaredSlice
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from tests.data.tables import builders as tables
from tests.reconcile.cuts import source

MANY = source(0)
METADATA = block_file.Metadata(
    "d", 0, 5, 0, 1, "key", "sha256:words", 10_000, "words", PrivacyUnit.EVENT, 1, ("a", "b")
)


def written(
    folder: Path, name: str, reviews: Reviews, partition_key_id: str = "key", declared: block_file.Metadata = METADATA
) -> PrivateDataBlock:
    path = folder / f"{name}.h5"
    digest = block_file.write(path, reviews, replace(declared, partition_key_id=partition_key_id))
    meta = ObjectMeta(name, "ns", annotations={CONTENT_DIGEST: digest})
    return PrivateDataBlock(meta, BlockSpec(EpsilonDelta(1.0), "d", f"file://{path}"))


def a_slice(folder: Path, *parts: Reviews) -> DeclaredSlice:
    blocks = tuple(written(folder, f"new-{number}", part) for number, part in enumerate(parts))
    return DeclaredSlice(blocks, identify.identify(parts[0], key=bytes(32), partition_key_id="key"))


def test_a_block_without_a_common_record_is_named_and_one_with_a_common_record_is_not(tmp_path: Path) -> None:
    few = source(1).select(np.arange(4))
    others = [written(tmp_path, "many", MANY), written(tmp_path, "shares", source(1).select(np.arange(3, 40)))]
    new = comparison.told_apart(a_slice(tmp_path, few), others)
    assert new.identity.apart_from == {others[0].content_digest}


def test_each_bucket_of_a_slice_counts(tmp_path: Path) -> None:
    many = written(tmp_path, "many", MANY)
    new = a_slice(tmp_path, source(1).select(np.arange(4)), MANY.select(np.arange(1)))
    assert comparison.told_apart(new, [many]).identity.apart_from == frozenset()


@pytest.mark.parametrize("fault", ["missing", "other content", "no digest", "other key"])
def test_a_block_that_cannot_be_compared_is_not_named(tmp_path: Path, fault: str) -> None:
    many = written(tmp_path, "many", MANY, "another" if fault == "other key" else "key")
    if fault == "missing":
        (tmp_path / "many.h5").unlink()
    elif fault == "other content":
        written(tmp_path, "many", MANY.select(np.arange(9)))
    elif fault == "no digest":
        many = replace(many, meta=replace(many.meta, annotations={}))
    new = a_slice(tmp_path, source(1).select(np.arange(4)))
    assert comparison.told_apart(new, [many]).identity.apart_from == frozenset()


def a_table(folder: Path, name: str, rows: list[dict[str, object]], **changes: object) -> DeclaredSlice:
    """Write the block of a table whose users are some of the reviews' and return its slice."""
    folder = folder / name
    folder.mkdir()
    (declared,) = tables.cut(folder, rows, {**changes, "dataset": name, "max_contribution": 5})
    return declared


WHOLE = {"unit": "user", "slice": "all"}
TIMELESS = {**WHOLE, "time": None}


def test_tables_with_and_without_times_are_compared_by_their_users(tmp_path: Path) -> None:
    rows = tables.rows(30)
    timeless = a_table(tmp_path, "timeless", rows, **TIMELESS)
    others = [row | {"patient": f"other-{row['patient']}"} for row in rows]
    for name, shown, is_apart in (("same", rows, False), ("others", others, True)):
        timed = a_table(tmp_path, name, shown, **WHOLE)
        named = comparison.told_apart(timed, timeless.blocks).identity.apart_from
        assert named == ({timeless.blocks[0].content_digest} if is_apart else frozenset())


def test_a_table_and_reviews_are_compared_by_user_and_time(tmp_path: Path) -> None:
    rows = tables.rows(30)
    table = a_table(tmp_path, "table", rows, **WHOLE)
    read = any_block.decode(Path(table.blocks[0].spec.data_source.removeprefix("file://")).read_bytes(), name="table")
    mine = replace(MANY.select(np.arange(30)), user=read.records.user, time=read.records.time)
    others = replace(mine, time=mine.time + 1)
    kept = replace(METADATA, start_day=4000, end_day=5000)
    blocks = [
        written(tmp_path, name, reviews, partition.PARTITION_KEY_ID, kept)
        for name, reviews in (("mine", mine), ("others", others))
    ]
    assert comparison.told_apart(table, blocks).identity.apart_from == {blocks[1].content_digest}
