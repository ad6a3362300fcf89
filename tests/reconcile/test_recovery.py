"""A process that dies after any part of a pass is stored, at any moment of a claim's life: the outcome is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
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
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashError, CrashingStore, stored_parts
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
    yield lambda plane: setattr(plane.clock, "time_ms", plane.clock.time_ms + 10_000)
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
    """Return everything that is stored, except metadata and the keys of claims, which are of a random secret."""
    blocks = [block_codec.to_wire(block) for block in plane.store.list_blocks()]
    unsealed = [replace(claim, status=replace(claim.status, sealing=None)) for claim in plane.store.list_claims()]
    claims = [claim_codec.to_wire(claim) for claim in unsealed]
    return [(document["spec"], document["status"]) for document in (*blocks, *claims)]


def on_sqlite(clock: Clock) -> ResourceStore:
    return SqliteStore(Path(":memory:"), clock=clock)


def run_through(
    unlock: str,
    *,
    crash: tuple[int, int] | None,
    empty: Callable[[Clock], ResourceStore] = MemoryStore,
    time_ms: int = FakeClock.time_ms,
) -> tuple[object, list[int]]:
    """Run all steps; in the pass of one of them, die after a part of its changes is stored, and start again.

    Args:
        unlock: the policy.
        crash: the step, and the number of the part; see `crashing.stored_parts`.
        empty: returns an empty store.
        time_ms: the time of the first step; a store that stamps blocks itself needs a later one than its own.

    Returns:
        The outcome, and how many parts the changes of each step's pass have.
    """
    clock = FakeClock(time_ms)
    plane, parts = Plane(empty(clock), unlock=unlock, clock=clock), []
    for number, step in enumerate(steps()):
        step(plane)
        stored = list(stored_parts(plane.decide()))
        parts.append(len(stored))
        if crash is not None and crash[0] == number:
            plane.write(stored[crash[1]])
            plane.require_sound()
        plane.run()
        plane.require_sound()
        plane.require_settled()
    return outcome(plane), parts


@pytest.mark.slow
@pytest.mark.parametrize("unlock", ["all", "n=3", "t=1s,5s"])
@pytest.mark.parametrize("empty", [MemoryStore, on_sqlite], ids=["memory", "sqlite"])
def test_the_outcome_is_the_same_wherever_a_process_dies(unlock: str, empty: Callable[[Clock], ResourceStore]) -> None:
    expected, parts = run_through(unlock, crash=None, empty=empty)
    assert sum(parts) > 30
    for step, count in enumerate(parts):
        for part in range(count):
            result, _ = run_through(unlock, crash=(step, part), empty=empty)
            assert result == expected, f"step {step}, part {part}"


@pytest.mark.parametrize("unlock", ["all", "n=3", "t=1s,5s"])
def test_what_is_left_to_be_completed_comes_to_the_same(unlock: str) -> None:
    expected, _ = run_through(unlock, crash=None)
    store = CrashingStore(MemoryStore(FakeClock()))
    plane = Plane(store, unlock=unlock)
    for step in steps():
        step(plane)
        plane.run(completely=False)
        plane.require_sound()
    plane.run()
    plane.require_settled()
    assert outcome(plane) == expected
    eager = CrashingStore(MemoryStore(FakeClock()))
    plane = Plane(eager, unlock=unlock)
    for step in steps():
        step(plane)
        plane.run()
    assert store.writes <= eager.writes


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
