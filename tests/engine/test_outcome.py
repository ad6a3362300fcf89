"""The world after the changes of a pass is the one that is stored once they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube.engine import outcome
from privatekube.engine.run_pass import remove, run_pass
from privatekube.engine.world import World
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import apply, read_world
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from privatekube.scheduling.policy import Policy
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.harness import Action, Plane

HALF = EpsilonDelta(0.5)
actions = st.sampled_from(
    [
        builders.allocate(0.5),
        builders.allocate(0.9),
        builders.allocate(0.5, blocks=1),
        ConsumeRequest({"ns/a": HALF}),
        ReleaseRequest({"ns/a": HALF}),
    ]
)


def seen(world: World) -> object:
    """Return what of a world the next pass depends on, without what a store adds to each write."""
    blocks = {key: (block.spec, block.status) for key, block in world.blocks.items()}
    claims = {key: (claim.spec, claim.status) for key, claim in world.open_claims.items()}
    return blocks, claims, list(world.open_claims)


@pytest.mark.parametrize("unlock", ["all", "n=2", "t=1s,10s"])
@given(requests=st.lists(st.lists(actions, min_size=1, max_size=3), max_size=4), later_ms=st.integers(0, 9000))
def test_what_a_pass_leaves_is_what_is_read_once_its_changes_are_written(
    unlock: str, requests: list[list[Action]], later_ms: int
) -> None:
    plane, policy = Plane(MemoryStore(clock := FakeClock()), unlock, clock=clock), Policy.parse({"unlock": unlock})
    for name in "ab":
        plane.block(name)
    for number, asked in enumerate(requests):
        plane.store.create(plane.claim_of(f"c{number}", *asked))
    clock.time_ms += later_ms
    world = read_world.read(plane.store, clock.time_ms)
    changes = run_pass(world, policy)
    left = outcome.after(world, changes)
    apply.apply(plane.store, world, changes)
    assert seen(left) == seen(read_world.read(plane.store, clock.time_ms))


def test_a_deleted_block_is_gone_and_what_was_committed_on_it_is_recorded() -> None:
    plane = Plane(MemoryStore())
    plane.block("a")
    plane.ask("c", builders.allocate(0.5), ConsumeRequest({"ns/a": HALF}))
    world = read_world.read(plane.store, plane.clock.time_ms)
    left = outcome.after(world, remove(world, "ns/a"))
    assert not left.blocks
    assert [record.total for record in left.records.retired] == [HALF]


def test_a_claim_that_a_pass_need_not_look_at_again_is_closed() -> None:
    world = outcome.with_claims(World(0, {}, {}), {"ns/c": builders.claim()})
    assert list(world.open_claims) == ["ns/c"]
    left = outcome.after(world, run_pass(world, Policy.parse({})))
    assert list(left.closed_claims) == ["ns/c"]
    assert not left.open_claims
