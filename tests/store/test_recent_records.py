"""Records of deleted data are not read again in every pass while a block is refused, and none is forgotten by that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission, read_world
from privatekube.resources import meta
from privatekube.resources.retired_data import RetiredData
from tests import builders
from tests.reconcile.harness import Plane
from tests.store.remembering import RememberingStore

HALF = EpsilonDelta(0.5)


@pytest.fixture
def store() -> RememberingStore:
    return RememberingStore()


def record(digest: str = "sha256:1") -> RetiredData:
    return RetiredData("d", digest, "ns/gone", EpsilonDelta(1.0, 1e-7), {"ns/c": HALF})


def test_a_refused_block_has_the_records_read_once_in_half_a_minute(store: RememberingStore) -> None:
    plane = Plane(store)
    for name in ("first", "second"):  # of the same data
        store.create(builders.block(name, digest="sha256:1"))
    plane.run()
    assert plane.blocks()["ns/second"].status is None
    before = store.n_lists
    for _ in range(20):
        plane.run()
    assert store.n_lists == before
    store.seconds += 30
    plane.run()
    assert store.n_lists == before + 1


def test_an_identity_that_is_missing_is_asked_for_once_in_half_a_minute(store: RememberingStore) -> None:
    plane = Plane(store)
    block = builders.block("b", digest="sha256:1")
    annotations = {**block.meta.annotations, meta.DATA_IDENTITY: "missing"}
    store.create(replace(block, meta=replace(block.meta, annotations=annotations)))
    for _ in range(20):
        plane.run()
    assert store.asked == ["missing"]


def test_a_record_that_another_process_wrote_since_is_charged_to_the_block_that_is_admitted(
    store: RememberingStore,
) -> None:
    plane = Plane(store)
    for name in ("first", "second"):
        store.create(builders.block(name, digest="sha256:1"))
    plane.run()
    assert store.recent_records().list_retired() == []
    block_admission.remove(store, plane.blocks()["ns/first"], now_ms=1)
    store.records["d", "sha256:1"] = record()  # behind the store's back
    assert store.recent_records().list_retired() == []
    plane.run()
    assert plane.status("second").committed == {"ns/c": HALF}


def test_records_that_were_read_for_an_admission_are_remembered(store: RememberingStore) -> None:
    store.retire(record("sha256:2"))
    assert read_world.earlier_records(store.recent_records(), ()).retired == store.list_retired()
    assert store.n_lists == 2
