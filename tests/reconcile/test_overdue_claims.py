"""A claim whose run did not return is settled in time, once, by the rule of the exit task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission
from privatekube.resources import refusals
from privatekube.resources.claim import SettleAfter
from privatekube.resources.requests import ConsumeRequest
from tests import builders
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

HALF = EpsilonDelta(0.5)
AFTER = SettleAfter(10, 11_000)


def abandon(plane: Plane, epsilon: float = 0.5) -> None:
    """Create a claim that is settled at second 11, on all blocks."""
    claim = plane.claim_of("c", builders.allocate(epsilon, timeout_ms=10**6))
    plane.store.create(replace(claim, spec=replace(claim.spec, settle_after=AFTER)))
    plane.run()


def run_at(plane: Plane, now_ms: int) -> None:
    plane.clock.time_ms = now_ms
    plane.run()
    plane.require_sound()
    plane.require_settled()


def test_unopened_budget_is_released_at_its_time_and_not_before(plane: Plane) -> None:
    plane.block("b")
    abandon(plane)
    run_at(plane, 10_999)
    assert plane.claim("c").status.acquired == {"ns/b": HALF}
    run_at(plane, 11_000)
    assert plane.states("c") == ["success", "success"]
    assert not plane.claim("c").status.acquired
    assert not plane.status("b").acquired
    assert not plane.status("b").committed


def test_opened_budget_is_consumed_and_the_ledger_says_why(plane: Plane) -> None:
    plane.block("b")
    abandon(plane)
    plane.open_data("c")
    run_at(plane, 11_000)
    assert plane.status("b").committed == {"ns/c": HALF}
    assert plane.claim("c").status.committed == {"ns/b": HALF}
    (entry,) = plane.store.ledger(claim_id="ns/c")
    assert entry.mechanisms == (str(refusals.OVERDUE),)


def test_a_waiting_request_is_withdrawn(plane: Plane) -> None:
    plane.block("b")
    plane.ask("other", builders.allocate(0.8))
    abandon(plane)
    run_at(plane, 11_000)
    assert plane.states("c") == ["failure"]
    assert plane.claim("c").status.responses[0].refusal == refusals.OVERDUE
    assert not plane.status("b").reserved


def test_it_is_settled_once(plane: Plane) -> None:
    plane.block("b")
    abandon(plane)
    plane.open_data("c")
    for now_ms in (11_000, 12_000, 10**9):
        run_at(plane, now_ms)
    assert len(plane.claim("c").spec.requests) == 2


def test_a_claim_that_was_paid_in_time_is_left_alone(plane: Plane) -> None:
    plane.block("b")
    abandon(plane)
    plane.append("c", ConsumeRequest({"ns/b": HALF}))
    plane.run()
    before = plane.claim("c")
    run_at(plane, 11_000)
    assert plane.claim("c") == before


def test_a_claim_on_a_deleted_block_is_settled_on_the_others(plane: Plane) -> None:
    plane.block("a")
    gone = plane.block("b")
    abandon(plane)
    block_admission.remove(plane.store, plane.blocks()[gone.id], now_ms=plane.clock.time_ms)
    run_at(plane, 11_000)
    run_at(plane, 12_000)
    assert len(plane.claim("c").spec.requests) == 2
    assert not plane.status("a").acquired


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("write", range(1, 8))
@pytest.mark.parametrize("after", [False, True])
def test_it_ends_the_same_wherever_the_process_dies(plane: Plane, opened: bool, write: int, after: bool) -> None:
    plane.block("b")
    abandon(plane)
    if opened:
        plane.open_data("c")
    whole, plane.clock.time_ms = plane.store, 11_000
    dying = CrashingStore(whole)
    dying.arm(write, after=after)
    plane.store = dying
    try:
        plane.run()
    except CrashError:
        plane.require_sound()
    plane.store = whole
    run_at(plane, 11_000)
    assert plane.status("b").committed == ({"ns/c": HALF} if opened else {})
    assert not plane.claim("c").status.acquired
    assert len(plane.claim("c").spec.requests) == 2
