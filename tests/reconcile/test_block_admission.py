"""Blocks that are created, deleted and created again: data has one budget, whatever its blocks are named."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.reconcile import block_admission
from privatekube.resources.requests import ConsumeRequest
from tests import builders
from tests.reconcile.harness import Plane


@pytest.mark.parametrize("unlock", ["all", "n=1", "t=1s,10s"])
def test_a_block_created_again_is_never_beyond_its_budget_at_all_orders(plane: Plane, unlock: str) -> None:
    plane.unlock = "n=1"
    block = builders.block("b", RenyiCurve((2, 4), (1.0, 1.0)), digest="sha256:1")
    block_admission.register(plane.store, [block])
    used = RenyiCurve((2, 4), (3.0, 0.5))
    plane.ask("c", builders.allocate(demand=used), ConsumeRequest({"ns/b": used}))
    block_admission.remove(plane.store, plane.blocks()["ns/b"], now_ms=plane.clock.time_ms)
    block_admission.register(plane.store, [block])
    plane.unlock = unlock
    plane.ask("d", builders.allocate(demand=RenyiCurve((2, 4), (0.0, 5.0))))
    assert plane.states("d") == ["pending"]
    plane.require_sound()


def test_a_block_that_changes_the_budget_of_its_data_is_not_admitted(plane: Plane) -> None:
    block_admission.register(plane.store, [builders.block("b", digest="sha256:1")])
    plane.ask("c", builders.allocate(0.9), ConsumeRequest({"ns/b": EpsilonDelta(0.9)}))
    block_admission.remove(plane.store, plane.blocks()["ns/b"], now_ms=plane.clock.time_ms)
    with pytest.raises(errors.InvalidBudget, match="create it with the same"):
        block_admission.register(plane.store, [builders.block("b", EpsilonDelta(50.0), digest="sha256:1")])
    plane.store.create(builders.block("b", EpsilonDelta(50.0), digest="sha256:1"))
    plane.ask("d", builders.allocate(0.5))
    assert plane.blocks()["ns/b"].status is None
    assert plane.states("d") == ["failure"]


def test_a_refused_budget_is_told_as_it_is_asked_for_and_not_at_an_order_where_it_is_zero(plane: Plane) -> None:
    known, asked = (renyi_filter.capacity(EpsilonDelta(epsilon, 1e-7)) for epsilon in (10.0, 3.0))
    block_admission.register(plane.store, [builders.block("b", known, digest="sha256:1")])
    both = "epsilon 10, delta 1e-07 in Renyi accounting, asked epsilon 3, delta 1e-07 in Renyi accounting"
    with pytest.raises(errors.InvalidBudget, match=both):
        block_admission.register(plane.store, [builders.block("b", asked, digest="sha256:1")])


def test_a_second_block_of_the_same_data_gets_no_budget(plane: Plane) -> None:
    for name in "ab":
        plane.store.create(builders.block(name, digest="sha256:1"))
    plane.ask("c", builders.allocate(0.75), ConsumeRequest({"ns/a": EpsilonDelta(0.75)}))
    plane.ask("d", builders.allocate(0.75))
    assert plane.blocks()["ns/b"].status is None
    assert plane.claim("c").status.acquired == {}
    assert plane.states("d") == ["pending"]
    block_admission.remove(plane.store, plane.blocks()["ns/a"], now_ms=plane.clock.time_ms)
    plane.run()
    assert plane.status("b").committed == {"ns/c": EpsilonDelta(0.75)}
    assert plane.states("d") == ["pending"]


def test_a_block_without_a_digest_keeps_its_record_under_its_name(plane: Plane) -> None:
    block_admission.register(plane.store, [builders.block("b")])
    plane.ask("c", builders.allocate(0.75), ConsumeRequest({"ns/b": EpsilonDelta(0.75)}))
    block_admission.remove(plane.store, plane.blocks()["ns/b"], now_ms=plane.clock.time_ms)
    block_admission.register(plane.store, [builders.block("b")])
    plane.run()
    assert plane.status("b").committed == {"ns/c": EpsilonDelta(0.75)}
