"""A claim whose run did not return is settled in time, once, by the rule of the exit task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube import errors
from privatekube.controller import next_due
from privatekube.engine import changes
from privatekube.engine.run_pass import run_pass
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission
from privatekube.resources import ledger, refusals
from privatekube.resources.claim import OverdueSettlement, SettleAfter
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest, Request
from privatekube.scheduling.policy import SETTLE_WITHIN, Policy
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
    assert plane.states("c") == ["success"]
    assert plane.claim("c").status.settlement == OverdueSettlement(11_000, False, {"ns/b": HALF})
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
    (entry,) = ledger.amounts(plane.store.ledger(claim_id="ns/c"))
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
    settlement = plane.claim("c").status.settlement
    assert settlement is not None
    assert settlement.time_ms == 11_000
    assert len(plane.claim("c").spec.requests) == 1


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
    before = plane.claim("c")
    run_at(plane, 12_000)
    assert plane.claim("c") == before
    assert before.status.committed == {"ns/b": HALF}
    assert not before.is_open
    assert not plane.status("a").acquired


@pytest.mark.parametrize("settle_after", [None, SettleAfter(10**8, 10**14)])
@pytest.mark.parametrize("opened", [False, True])
def test_no_claim_holds_budget_beyond_what_the_policy_allows_whatever_it_says(
    plane: Plane, settle_after: SettleAfter | None, opened: bool
) -> None:
    plane.settle_within_ms = 20_000
    plane.block("b")
    claim = plane.claim_of("c", builders.allocate(0.5))
    plane.store.create(replace(claim, spec=replace(claim.spec, settle_after=settle_after, data_opened=opened)))
    granted_ms = plane.clock.time_ms
    plane.run()
    run_at(plane, granted_ms + 19_999)
    assert plane.claim("c").status.acquired == {"ns/b": HALF}
    run_at(plane, granted_ms + 20_000)
    assert not plane.claim("c").status.acquired
    assert plane.status("b").committed == ({"ns/c": HALF} if opened else {})


def test_a_sign_of_life_does_not_go_past_what_the_policy_allows(plane: Plane) -> None:
    plane.settle_within_ms = 20_000
    plane.block("b")
    abandon(plane)
    granted_ms = plane.clock.time_ms
    for now_ms in (5_000, 10_000, 15_000):
        run_at(plane, now_ms)
        claim = plane.claim("c")
        assert claim.status.acquired
        plane.store.update(replace(claim, spec=claim.spec.renew(now_ms=now_ms)))
    run_at(plane, granted_ms + 20_000)
    assert not plane.claim("c").status.acquired


def test_what_a_claim_waits_does_not_count_as_held(plane: Plane) -> None:
    plane.settle_within_ms = 20_000
    plane.block("b")
    plane.ask("other", builders.allocate(0.8))
    plane.ask("c", builders.allocate(0.5, timeout_ms=10**6))
    plane.clock.time_ms = 15_000
    plane.append("other", ReleaseRequest({"ns/b": EpsilonDelta(0.8)}))
    run_at(plane, 15_000)
    assert plane.claim("c").status.acquired == {"ns/b": HALF}
    run_at(plane, 34_999)
    assert plane.claim("c").status.acquired == {"ns/b": HALF}
    run_at(plane, 35_000)
    assert not plane.claim("c").status.acquired


def test_the_controller_is_awake_when_a_claim_is_to_be_settled_and_does_not_spin_on_one_that_cannot_be(
    plane: Plane,
) -> None:
    policy = Policy.parse({SETTLE_WITHIN: "20000"})
    plane.block("b")
    plane.ask("c", builders.allocate(0.5))
    granted_ms = plane.clock.time_ms
    assert next_due.seconds_until(plane.store, policy, now_ms=granted_ms + 5_000) == 15.0
    assert next_due.seconds_until(plane.store, policy, now_ms=granted_ms + 20_000) == float("inf")


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
    settlement = plane.claim("c").status.settlement
    assert settlement == OverdueSettlement(11_000, opened, {"ns/b": HALF})


def test_a_settlement_that_was_not_decided_is_made_again_as_the_claim_is_now(plane: Plane) -> None:
    """The data is opened between the locks and the decision: the budget must not be returned."""
    plane.block("b")
    abandon(plane)
    plane.clock.time_ms = 11_000
    locks, *_ = changes.segments(plane.decide())
    plane.write(locks)
    plane.open_data("c")
    run_at(plane, 11_000)
    assert plane.status("b").committed == {"ns/c": HALF}


def test_a_settlement_that_was_not_decided_is_undone_where_the_run_goes_on(plane: Plane) -> None:
    plane.block("b")
    abandon(plane)
    plane.clock.time_ms = 11_000
    locks, *_ = changes.segments(plane.decide())
    plane.write(locks)
    claim = plane.claim("c")
    plane.store.update(replace(claim, spec=claim.spec.renew(now_ms=11_000)))
    run_at(plane, 11_000)
    assert plane.status("b").acquired == {"ns/c": HALF}


def test_a_claim_with_the_largest_number_of_requests_is_settled_and_stops_nobody(plane: Plane) -> None:
    plane.block("b")
    nothing = ConsumeRequest({"ns/b": EpsilonDelta(0.0)})
    claim = plane.claim_of("c", builders.allocate(0.5), *[nothing] * 255)
    plane.store.create(replace(claim, spec=replace(claim.spec, settle_after=AFTER)))
    plane.ask("other", builders.allocate(0.25))
    assert plane.states("other") == ["success"]
    for _ in range(20):
        run_at(plane, 11_000)
    assert len(plane.states("c")) == 256
    assert plane.claim("c").status.settlement is not None
    assert not plane.status("b").acquired.keys() & {"ns/c"}


def test_a_request_that_the_claimant_names_settle_after_does_not_keep_the_budget(plane: Plane) -> None:
    """An earlier version appended a request of that name itself; claims of that version still have it."""
    plane.block("b")
    claim = plane.claim_of("c", builders.allocate(0.5))
    requests = (*claim.spec.requests, Request("settle-after", ConsumeRequest({"ns/x": HALF})))
    plane.store.create(replace(claim, spec=replace(claim.spec, requests=requests, settle_after=AFTER)))
    run_at(plane, 11_000)
    run_at(plane, 11_000)
    assert not plane.claim("c").holds_budget
    assert not plane.status("b").acquired


def test_after_its_time_a_claim_is_granted_nothing(plane: Plane) -> None:
    plane.block("b")
    abandon(plane)
    run_at(plane, 11_000)
    claim = plane.claim("c")
    plane.store.update(replace(claim, spec=claim.spec.renew(now_ms=11_000)))
    plane.append("c", builders.allocate(0.25))
    run_at(plane, 11_001)
    assert plane.states("c") == ["success", "failure"]
    assert plane.claim("c").status.responses[1].refusal == refusals.OVERDUE
    assert plane.status("b").acquired == {}


def test_no_claim_holds_budget_for_ever_by_asking_for_a_block_that_is_set_aside(plane: Plane) -> None:
    plane.settle_within_ms = 20_000
    for name in "ab":
        plane.store.create(builders.block(name, dataset=name))
    plane.ask("c", builders.allocate(0.5, dataset="b"))
    plane.append("c", builders.allocate(0.5, dataset="a"))
    plane.clock.time_ms += 20_000
    bad = [errors.ResourceName(errors.ResourceKind.BLOCK, "ns/a")]
    world = plane.world().without(bad)
    assert world.obstructed_claims.keys() == {"ns/c"}
    plane.write(run_pass(world, plane.policy))
    assert plane.claim("c").status.responses[1].refusal == refusals.OVERDUE
    plane.write(run_pass(plane.world().without(bad), plane.policy))
    assert not plane.claim("c").status.acquired
    assert not plane.status("b").acquired
