"""A process that dies before or after any write, at any moment of a claim's life: the outcome is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from privatekube.resources.wire import blocks as block_codec
from privatekube.resources.wire import claims as claim_codec
from privatekube.store.base import ResourceStore
from privatekube.store.clock import Clock
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

QUARTER = EpsilonDelta(0.25)
Step = Callable[[Plane], object]


def steps() -> Iterator[Step]:
    """Yield the steps of a scenario: a wait, grants on several blocks, a part committed, a part released, deletions."""
    yield (
        lambda plane: (
            block_admission.register(plane.store, [builders.block(name, digest=name) for name in "ab"]) and None
        )
    )
    yield lambda plane: ask(plane, "paid", builders.allocate(0.5), ConsumeRequest({"ns/a": QUARTER, "ns/b": QUARTER}))
    yield lambda plane: ask(plane, "waits", builders.allocate(0.75))
    yield lambda plane: ask(plane, "one", builders.allocate(0.125, blocks=1))
    yield lambda plane: plane.append("paid", ReleaseRequest({"ns/a": QUARTER, "ns/b": QUARTER}))
    yield lambda plane: plane.append("one", ConsumeRequest({"ns/a": QUARTER, "ns/x": QUARTER}, "allOrNothing=true"))
    yield lambda plane: plane.store.delete(plane.claim("one"))
    yield lambda plane: plane.open_data("paid")
    for output in ("1", "2", "1"):
        yield partial(Plane.append, name="paid", action=builders.release(output=output))
    yield lambda plane: setattr(plane.clock, "time_ms", plane.clock.time_ms + 10_000)


def ask(plane: Plane, name: str, *actions: Any) -> None:
    plane.store.create(plane.claim_of(name, *actions))


def outcome(plane: Plane) -> object:
    """Return everything that is stored, except metadata."""
    blocks = [block_codec.to_wire(block) for block in plane.store.list_blocks()]
    claims = [claim_codec.to_wire(claim) for claim in plane.store.list_claims()]
    return [(document["spec"], document["status"]) for document in (*blocks, *claims)]


def run_through(
    unlock: str, *, crash: tuple[int, int, bool] | None, empty: Callable[[Clock], ResourceStore] = MemoryStore
) -> tuple[object, list[int]]:
    """Run all steps; at one of them, die before or after one write of its pass, and start again.

    Returns:
        The outcome, and how many writes the pass of each step made.
    """
    clock = FakeClock()
    store = CrashingStore(empty(clock))
    plane, writes = Plane(store, unlock=unlock, clock=clock), []
    for number, step in enumerate(steps()):
        step(plane)
        before = store.writes
        if crash is not None and crash[0] == number:
            store.arm(crash[1], after=crash[2])
            with pytest.raises(CrashError):
                plane.run()
            store.arm(None)
            plane.require_sound()
        plane.run()
        plane.require_sound()
        plane.require_settled()
        writes.append(store.writes - before)
    return outcome(plane), writes


@pytest.mark.parametrize("unlock", ["all", "n=3", "t=1s,5s"])
def test_the_outcome_is_the_same_wherever_a_process_dies(unlock: str) -> None:
    expected, writes = run_through(unlock, crash=None)
    assert sum(writes) > 15
    for step, count in enumerate(writes):
        for write in range(1, count + 1):
            for after in (False, True):
                result, _ = run_through(unlock, crash=(step, write, after))
                assert result == expected, f"step {step}, write {write}, {'after' if after else 'before'}"


@pytest.mark.parametrize("unlock", ["all", "n=3", "t=1s,5s"])
def test_what_is_left_to_be_completed_comes_to_the_same(unlock: str) -> None:
    expected, writes = run_through(unlock, crash=None)
    store = CrashingStore(MemoryStore(FakeClock()))
    plane, longest = Plane(store, unlock=unlock), 0
    for step in steps():
        step(plane)
        before = store.writes
        plane.run(completely=False)
        longest += store.writes - before
        plane.require_sound()
    plane.run()
    plane.require_settled()
    assert outcome(plane) == expected
    assert longest <= sum(writes)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_block_that_is_deleted_and_created_again_keeps_its_record_wherever_a_process_dies(
    write: int, after: bool
) -> None:
    store = CrashingStore(MemoryStore(FakeClock()))
    plane, block = Plane(store), builders.block("b", digest="sha256:1")
    block_admission.register(plane.store, [block])
    ask(plane, "paid", builders.allocate(0.5), ConsumeRequest({"ns/b": QUARTER}))
    ask(plane, "open", builders.allocate(0.125))
    plane.run()
    store.arm(write, after=after)
    for _ in range(3):
        try:
            if plane.blocks():
                block_admission.remove(plane.store, plane.blocks()["ns/b"], now_ms=plane.clock.time_ms)
            block_admission.register(plane.store, [block])
            plane.run()
        except CrashError:
            store.arm(None)
    status = plane.status("b")
    assert status.committed == {"ns/paid": EpsilonDelta(0.5), "ns/open": EpsilonDelta(0.125)}
    plane.require_sound()
