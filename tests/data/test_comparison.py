"""An owner who has the files tells blocks apart that sketches cannot, and names none that shares a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from privatekube.data import block_file, comparison, identify
from privatekube.data.columns import Reviews
from privatekube.data.declare import DeclaredSlice
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from tests.reconcile.cuts import source

MANY = source(0)
METADATA = block_file.Metadata(
    "d", 0, 5, 0, 1, "key", "sha256:words", 10_000, "words", PrivacyUnit.EVENT, 1, ("a", "b")
)


def written(folder: Path, name: str, reviews: Reviews, partition_key_id: str = "key") -> PrivateDataBlock:
    path = folder / f"{name}.h5"
    digest = block_file.write(path, reviews, replace(METADATA, partition_key_id=partition_key_id))
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
