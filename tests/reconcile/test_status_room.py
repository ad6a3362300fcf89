"""No status grows so large that it cannot be written any more, and no number of claims keeps others from theirs."""

from __future__ import annotations

import json

import pytest

from privatekube.engine import status_room
from privatekube.privacy.budget import STANDARD_ORDERS, EpsilonDelta, RenyiCurve
from privatekube.resources.requests import AllocateRequest, BudgetDemand, ConsumeRequest, ReleaseRequest
from privatekube.resources.wire import blocks
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import stored_parts
from tests.reconcile.harness import Plane

ORDERS = tuple(1.5 + number for number in range(64))
WHOLE = RenyiCurve(ORDERS, (10.0,) * 64)
TENTH = RenyiCurve(ORDERS, (0.1234567890123456,) * 64)
TOO_MUCH = RenyiCurve(ORDERS, (11.123456789012345,) * 64)


def status_bytes(plane: Plane, name: str) -> int:
    return len(json.dumps(blocks.to_wire(plane.blocks()[f"ns/{name}"])["status"]))


def long_name(number: int) -> str:
    return f"{'n' * 249}{number:04}"


@pytest.mark.slow
def test_free_claims_of_the_largest_size_neither_burst_a_block_nor_keep_others_waiting(plane: Plane) -> None:
    plane.block("b", WHOLE)
    for number in range(420):
        plane.store.create(plane.claim_of(long_name(number), builders.allocate(demand=TOO_MUCH)))
    plane.store.create(plane.claim_of("honest", builders.allocate(demand=TENTH), ConsumeRequest({"ns/b": TENTH})))
    done = plane.run()
    assert not done.set_aside
    assert plane.states("honest") == ["success", "success"]
    assert all(plane.states(long_name(number)) == ["pending"] for number in range(420))
    assert 0 < len(plane.status("b").reserved) < 420
    assert status_bytes(plane, "b") <= status_room.MOST_WAITING_BYTES
    plane.clock.time_ms += 6000
    plane.run()
    assert all(plane.states(long_name(number)) == ["failure"] for number in range(420))
    assert not plane.status("b").reserved
    plane.require_settled()


def test_a_grant_for_which_a_status_has_no_room_waits_until_there_is_some(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_room, "MOST_BLOCK_BYTES", 1600)
    monkeypatch.setattr(status_room, "MOST_WAITING_BYTES", 800)
    plane.block("b")
    half = EpsilonDelta(0.05)
    for number in range(9):
        plane.store.create(plane.claim_of(f"c{number}", builders.allocate(0.05)))
    plane.run()
    plane.run()
    states = [plane.states(f"c{number}") for number in range(9)]
    assert 0 < states.count(["success"]) < 9
    assert status_bytes(plane, "b") < 1600
    for _ in range(9):
        for number in range(9):
            if plane.claim(f"c{number}").holds_budget:
                plane.append(f"c{number}", ConsumeRequest({"ns/b": half}))
        plane.run()
    assert all(plane.claim(f"c{number}").status.committed for number in range(9))
    plane.require_settled()


def crowd(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create nine claims that no block can ever grant, on a block that has room for a few of them."""
    monkeypatch.setattr(status_room, "MOST_WAITING_BYTES", 1600)
    plane.unlock = "n=20"
    plane.block("b")
    for number in range(9):
        plane.store.create(plane.claim_of(f"c{number}", builders.allocate(2.0)))


def unlocked(plane: Plane) -> float:
    return plane.status("b").available.values[0]


def test_a_request_for_which_a_block_has_no_room_unlocks_its_fair_share_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(plane, monkeypatch)
    for _ in range(3):
        plane.run()
        assert 0 < len(plane.status("b").locks) < 9
        assert unlocked(plane) == pytest.approx(9 / 20)
    plane.ask("honest", builders.allocate(0.5))
    assert plane.states("honest") == ["success"]
    plane.require_sound()


def test_no_block_unlocks_twice_for_a_request_wherever_the_process_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, number = [], 0
    while True:
        plane = Plane(MemoryStore(FakeClock()))
        crowd(plane, monkeypatch)
        parts = list(stored_parts(plane.decide()))
        if number == len(parts):
            break
        plane.write(parts[number])
        plane.require_sound()
        for _ in range(2):
            plane.run()
        shares.append(round(unlocked(plane) * 20, 6))
        number += 1
    assert max(shares) == 9
    assert 0 < min(shares) < 9  # those whose answers were the last to be stored


def test_a_claim_that_could_not_be_written_until_it_has_paid_is_refused_at_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_room, "MOST_CLAIM_BYTES", 3000)
    for name in "abcd":
        plane.block(name)
    plane.ask("wide", builders.allocate(0.1))
    assert plane.states("wide") == ["failure"]
    assert "claim fewer at once" in str(plane.claim("wide").status.responses[0].refusal)
    plane.ask("narrow", builders.allocate(0.1, blocks=2))
    assert plane.states("narrow") == ["success"]


def test_a_claim_that_fills_its_object_with_other_requests_gets_no_place_on_a_block(plane: Plane) -> None:
    """It could not be written: neither its answer nor its timeout, so its reservation would stay for ever."""
    plane.block("b")
    padding = ReleaseRequest({f"ns/{number:0500}": EpsilonDelta(0.1) for number in range(1000)})
    plane.ask("padded", builders.allocate(2.0), padding, padding, padding)
    assert "the claim would take 1,5" in str(plane.claim("padded").status.responses[0].refusal)
    assert not plane.status("b").reserved
    assert not plane.status("b").locks


@pytest.mark.slow
def test_a_claim_on_a_thousand_renyi_blocks_is_granted_and_paid_on_any_store(plane: Plane) -> None:
    whole = RenyiCurve(STANDARD_ORDERS, tuple(10 / order for order in STANDARD_ORDERS))
    blocks = [plane.store.create(builders.block(f"day-{day:04}", whole, day=day)).id for day in range(1000)]
    plane.run()
    plane.ask("wide", AllocateRequest("d", BudgetDemand(constant=whole * 0.1), min_blocks=1000))
    plane.append("wide", ConsumeRequest.all_or_nothing(plane.claim("wide").status.acquired))
    plane.run()
    assert plane.states("wide") == ["success", "success"]
    assert plane.claim("wide").status.committed == dict.fromkeys(blocks, whole * 0.1)
    plane.require_settled()
