"""Single passes: what is answered, granted, refused, and never released."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from privatekube import errors
from privatekube.engine import answering
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.reconcile import block_admission
from privatekube.resources import ledger, refusals
from privatekube.resources.refusals import RefusalReason
from privatekube.resources.requests import BudgetDemand, ConsumeRequest, ReleaseRequest
from privatekube.resources.wire import claims
from tests import builders
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

HALF = EpsilonDelta(0.5)


def crash_after(plane: Plane, writes: int) -> None:
    """Run a pass on a store without transactions whose process dies after `writes` writes."""
    whole = plane.store
    dying = CrashingStore(whole)
    dying.arm(writes, after=True)
    plane.store = dying
    with pytest.raises(CrashError):
        plane.run()
    plane.store = whole
    plane.require_sound()


def test_a_second_pass_writes_nothing(plane: Plane) -> None:
    plane.unlock = "n=2"
    plane.block("b")
    plane.ask("granted", builders.allocate(0.25), ConsumeRequest({"ns/b": EpsilonDelta(0.1)}))
    plane.ask("waiting", builders.allocate(0.9))
    before = (plane.store.list_blocks(), plane.store.list_claims())
    plane.run()
    assert (plane.store.list_blocks(), plane.store.list_claims()) == before


def test_a_claim_granted_after_waiting_has_its_later_requests_answered(plane: Plane) -> None:
    plane.unlock = "n=2"
    plane.block("b")
    plane.ask("first", builders.allocate(0.75), ConsumeRequest({"ns/b": HALF}), ReleaseRequest({"ns/b": HALF * 0.5}))
    assert plane.states("first") == ["pending"]
    plane.ask("second", builders.allocate(0.1))
    assert plane.states("first") == ["success"] * 3
    assert plane.status("b").committed == {"ns/first": HALF}
    plane.require_settled()


def test_a_request_that_cannot_be_read_fails_and_the_next_is_answered(plane: Plane) -> None:
    plane.block("b")
    wire = claims.to_wire(builders.claim("c", builders.allocate(0.5), builders.allocate(0.25)))
    wire["spec"]["requests"][0]["allocateRequest"]["timeout"] = -5
    plane.store.create(claims.from_store(wire))
    plane.run()
    assert plane.states("c") == ["failure", "success"]
    assert "timeout: -5 must be 0 or more" in str(plane.claim("c").status.responses[0].refusal)


@pytest.mark.parametrize(
    "demand", [RenyiCurve((2,), (0.1,)), EpsilonDelta(-0.1), RenyiCurve((3,), (0.1,))], ids=["type", "sign", "orders"]
)
def test_an_invalid_demand_fails_at_once_and_unlocks_nothing(plane: Plane, demand: Any) -> None:
    plane.unlock = "n=2"
    plane.block("b", RenyiCurve((2, 4), (1.0, 1.0)) if demand.orders == (3.0,) else None)
    plane.ask("c", builders.allocate(demand=demand))
    assert plane.states("c") == ["failure"]
    assert not any(plane.status("b").available.values)


def test_a_demand_that_can_never_fit_fails_in_time_with_both_numbers_and_does_not_delay_others(plane: Plane) -> None:
    plane.block("b")
    plane.ask("c", builders.allocate(2.0))
    plane.ask("other", builders.allocate(0.5))
    assert (plane.states("c"), plane.states("other")) == (["pending"], ["success"])
    plane.clock.time_ms += 6000
    plane.run()
    refusal = plane.claim("c").status.responses[0].refusal
    assert refusal is not None
    assert refusal.reason is RefusalReason.TIMED_OUT
    assert str(refusal).startswith(
        "timeout: demand on ns/b: asked epsilon 2, delta 0, more than its initial budget epsilon 1"
    )


def test_a_demand_that_only_others_keep_from_fitting_times_out_without_another_reason(plane: Plane) -> None:
    plane.block("b")
    plane.ask("other", builders.allocate(0.8))
    plane.ask("c", builders.allocate(0.5))
    plane.clock.time_ms += 6000
    plane.run()
    assert plane.claim("c").status.responses[0].refusal == refusals.TIMED_OUT


def test_an_order_without_capacity_does_not_count_in_a_share(plane: Plane) -> None:
    plane.unlock = "n=2"
    plane.block("b", RenyiCurve((2, 4), (0.0, 1.0)))
    plane.ask("large", builders.allocate(demand=RenyiCurve((2, 4), (0.3, 0.6))))
    plane.ask("small", builders.allocate(demand=RenyiCurve((2, 4), (0.3, 0.55))))
    assert plane.states("small") == ["success"]
    assert plane.states("large") == ["pending"]


def test_a_cap_above_the_candidates_takes_them_all(plane: Plane) -> None:
    plane.block("a")
    plane.block("b")
    request = replace(builders.allocate(0.25), max_blocks=9)
    assert set(plane.ask("c", request).status.acquired) == {"ns/a", "ns/b"}


def test_a_demand_by_block_takes_those_blocks_only(plane: Plane) -> None:
    plane.block("a")
    plane.block("b")
    request = replace(builders.allocate(), expected_budget=BudgetDemand(by_block={"ns/b": HALF}))
    assert plane.ask("c", request).status.acquired == {"ns/b": HALF}
    assert plane.status("a").available == EpsilonDelta(1.0, 1e-7)


def test_a_negative_release_gives_back_what_is_held_and_no_more(plane: Plane) -> None:
    plane.block("b")
    plane.ask("c", builders.allocate(0.5), ReleaseRequest({"ns/b": EpsilonDelta(-1.0, -1.0)}))
    assert plane.claim("c").status.acquired == {}
    plane.require_sound()
    plane.ask("d", builders.allocate(0.5), ReleaseRequest({"ns/b": EpsilonDelta(-0.5, 0.0)}))
    assert plane.claim("d").status.acquired == {"ns/b": HALF}
    plane.require_sound()


def test_deleting_a_block_leaves_its_waiting_claims_with_the_others(plane: Plane) -> None:
    plane.unlock = "n=2"
    blocks = [plane.block("a"), plane.block("b")]
    plane.ask("c", builders.allocate(0.75))
    block_admission.remove(plane.store, plane.blocks()[blocks[0].id], now_ms=plane.clock.time_ms)
    plane.ask("d", builders.allocate(0.1))
    assert set(plane.claim("c").status.acquired) == {"ns/b"}
    block_admission.remove(plane.store, plane.blocks()[blocks[1].id], now_ms=plane.clock.time_ms)
    plane.ask("e", builders.allocate(0.1))
    assert plane.states("e") == ["failure"]


def test_opened_data_never_gives_its_budget_back(plane: Plane) -> None:
    plane.block("b")
    plane.ask("c", builders.allocate(0.5))
    plane.open_data("c")
    plane.append("c", ReleaseRequest({"ns/b": HALF}))
    plane.run()
    response = plane.claim("c").status.responses[1]
    assert (
        "was opened" in claims.to_wire(plane.claim("c"))["status"]["responses"][1]["releaseResponse"]["ns/b"]["error"]
    )
    assert response.state == "success"
    assert plane.status("b").acquired == {"ns/c": HALF}


def test_data_opened_while_a_release_was_half_done_keeps_its_budget_charged(plane: Plane) -> None:
    plane.block("b")
    plane.ask("c", builders.allocate(0.5))
    plane.append("c", ReleaseRequest({"ns/b": HALF}))
    crash_after(plane, 1)
    assert plane.status("b").locks
    plane.open_data("c")
    plane.run()
    assert plane.status("b").acquired == {"ns/c": HALF}
    assert plane.claim("c").status.acquired == {"ns/b": HALF}
    plane.require_settled()


def test_a_claim_created_again_under_a_name_does_not_inherit_the_locks_of_the_first(plane: Plane) -> None:
    plane.block("b")
    plane.store.create(builders.claim("c", builders.allocate(0.5)))
    crash_after(plane, 1)
    assert [lock.acquired for lock in plane.status("b").locks.values()] == [HALF]
    plane.store.delete(plane.claim("c"))
    plane.ask("c", builders.allocate(0.125))
    assert plane.claim("c").status.acquired == {"ns/b": EpsilonDelta(0.125)}
    assert plane.status("b").acquired == {"ns/c": EpsilonDelta(0.625)}  # the first may have been granted, and read
    plane.append("c", ReleaseRequest({"ns/b": EpsilonDelta(-1.0, -1.0)}))
    plane.run()
    assert plane.status("b").acquired == {"ns/c": HALF}


def test_what_a_claim_was_granted_stays_charged_though_it_is_deleted_before_its_locks_are_completed(
    plane: Plane,
) -> None:
    plane.block("b")
    plane.store.create(plane.claim_of("c", builders.allocate(0.5)))
    plane.run(completely=False)
    plane.open_data("c")
    plane.store.delete(plane.claim("c"))
    plane.run()
    assert plane.status("b").acquired == {"ns/c": HALF}
    assert not plane.status("b").locks
    plane.require_sound()


def test_what_a_claim_committed_stays_committed_though_it_is_deleted_before_its_locks_are_completed(
    plane: Plane,
) -> None:
    plane.block("b")
    plane.store.create(
        plane.claim_of("c", builders.allocate(0.5), ConsumeRequest({"ns/b": HALF}, mechanisms=("noise",)))
    )
    plane.run(completely=False)
    plane.store.delete(plane.claim("c"))
    plane.run()
    assert plane.status("b").committed == {"ns/c": HALF}
    assert [(entry.claim, entry.mechanisms) for entry in ledger.amounts(plane.store.ledger())] == [("ns/c", ("noise",))]
    plane.require_sound()
    plane.require_settled()


def test_an_amount_that_leaves_out_orders_that_are_held_moves_nothing(plane: Plane) -> None:
    """Otherwise the block would lose those orders permanently."""
    plane.block("b", RenyiCurve((2, 4), (1.0, 1.0)))
    plane.ask("c", builders.allocate(demand=RenyiCurve((2, 4), (0.5, 0.5))))
    before = plane.status("b")
    plane.append("c", ReleaseRequest({"ns/b": RenyiCurve((2,), (0.1,))}))
    plane.append("c", ConsumeRequest({"ns/b": RenyiCurve((4,), (0.1,))}))
    plane.run()
    assert plane.status("b") == before
    assert "every order" in str(plane.claim("c").status.responses[1].detail)


def test_time_unlocks_once_a_period(plane: Plane) -> None:
    plane.unlock = "t=1s,10s"
    created = plane.block("b", EpsilonDelta(10.0)).meta.creation_time_ms or 0
    for passed, available in ((500, 0.5), (900, 0.5), (1499, 0.5), (1500, 1.5), (20_000, 10.0)):
        plane.clock.time_ms = created + passed
        plane.run()
        assert plane.status("b").available.values[0] == pytest.approx(available)


def test_a_pass_reads_again_when_another_writer_was_first(plane: Plane) -> None:
    plane.block("b")
    plane.store.create(builders.claim("c", builders.allocate(0.5)))
    whole = plane.store
    racing = CrashingStore(whole)
    racing.arm(2, error=errors.Conflict("another writer was first"))
    plane.store = racing
    plane.run()
    assert plane.states("c") == ["success"]
    racing.arm(1, error=errors.Conflict("another writer was first"), always=True)
    plane.store = whole
    plane.append("c", ConsumeRequest({"ns/b": HALF}))
    plane.store = racing
    with pytest.raises(errors.Conflict):
        plane.run()


def test_a_claim_unlocks_once_however_often_it_asks(plane: Plane) -> None:
    plane.unlock = "n=10"
    plane.block("b", EpsilonDelta(10.0))
    plane.ask("c", *[builders.allocate(0.001)] * 9)
    assert plane.states("c") == ["success"] * 9
    status = plane.status("b")
    assert (status.pending + status.available).values[0] == pytest.approx(10 - 9 * 0.001)
    assert status.pending.values[0] == pytest.approx(9.0)


def test_an_amount_of_zero_is_refused_and_nothing_is_entered_in_the_ledger(plane: Plane) -> None:
    plane.block("b")
    nothing = EpsilonDelta(0.0)
    plane.ask("c", builders.allocate(0.5), ConsumeRequest({"ns/b": nothing}), ReleaseRequest({"ns/b": nothing}))
    _, consumed, released = plane.claim("c").status.responses
    assert "must be above 0" in str(consumed.detail)
    assert "must be above 0" in str(released.detail)
    assert not plane.store.ledger()


def test_one_claim_with_many_requests_does_not_hold_up_a_pass(plane: Plane) -> None:
    plane.block("b")
    plane.store.create(plane.claim_of("c", builders.allocate(0.5), *[ConsumeRequest({"ns/b": HALF * 0.001})] * 99))
    plane.run()
    assert len(plane.states("c")) == answering.MOST_ANSWERS
    for _ in range(100 // answering.MOST_ANSWERS):
        plane.run()
    assert plane.states("c") == ["success"] * 100


@pytest.mark.parametrize("unlock", ["n=2", "t=1s,5s"])
def test_a_clock_that_goes_back_unlocks_and_fails_nothing_twice(plane: Plane, unlock: str) -> None:
    """Another replica begins to lead, whose clock is an hour late."""
    plane.unlock, plane.clock.time_ms = unlock, 3_600_000
    plane.block("b")
    plane.ask("c", builders.allocate(0.25))
    before = plane.status("b").pending
    plane.clock.time_ms = 1000
    plane.run()
    plane.ask("d", builders.allocate(0.125))
    plane.require_sound()
    assert all(now <= was for now, was in zip(plane.status("b").pending.values, before.values, strict=True))
    assert plane.states("c") in (["success"], ["pending"])
