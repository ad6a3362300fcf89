"""Requests that were made to stop the control plane or to take budget from others: each stops nothing but itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.controller import next_due
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import bounds
from privatekube.resources.refusals import RefusalReason
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from privatekube.resources.responses import ConsumeResponse
from tests import builders
from tests.reconcile.harness import Plane
from tests.resources.test_exact_sums import require_exact

WHOLE = RenyiCurve((1.5, 3, 8), (1.0, 1.9, 9.2))


@pytest.mark.parametrize("demand", [RenyiCurve((1.5,), (0.0,)), RenyiCurve((3,), (0.0,)), RenyiCurve((3,), (0.1,))])
def test_a_demand_that_leaves_out_orders_takes_none_from_the_block(plane: Plane, demand: PrivacyBudget) -> None:
    plane.block("b", WHOLE)
    plane.ask("hostile", builders.allocate(demand=demand), ReleaseRequest({"ns/b": demand}))
    plane.ask("honest", builders.allocate(demand=WHOLE))
    assert plane.states("hostile")[0] == "failure"
    assert "of the block; name all of its orders" in str(plane.claim("hostile").status.responses[0].refusal)
    assert plane.states("honest") == ["success"]
    assert dict(plane.claim("honest").status.acquired) == {"ns/b": WHOLE}
    plane.require_sound()


def test_a_demand_of_0_where_the_block_has_nothing_does_not_overdraw_the_other_orders(plane: Plane) -> None:
    whole = RenyiCurve((1.5, 3.0), (0.0, 1.0))
    plane.block("b", whole)
    plane.ask("hostile", *[builders.allocate(demand=whole, timeout_ms=1)] * 2)
    assert plane.states("hostile") == ["success", "pending"]
    assert plane.status("b").available.values == (0.0, 0.0)
    plane.require_sound()


@pytest.mark.parametrize(
    ("whole", "demand"),
    [(None, EpsilonDelta(0.0)), (None, EpsilonDelta(1e-13, 1e-21)), (WHOLE, WHOLE * 0.0), (WHOLE, WHOLE * 1e-14)],
)
def test_requests_that_cost_nothing_are_refused_and_unlock_nothing(
    plane: Plane, whole: PrivacyBudget | None, demand: PrivacyBudget
) -> None:
    plane.unlock = "n=10"
    plane.block("b", whole)
    plane.ask("hostile", *[builders.allocate(demand=demand)] * 9)
    assert plane.states("hostile") == ["failure"] * 9
    assert not any(plane.status("b").available.values)
    assert "costs nothing" in str(plane.claim("hostile").status.responses[0].refusal)


def test_dust_neither_gets_lost_nor_makes_a_block_unwritable(plane: Plane) -> None:
    plane.block("b", EpsilonDelta(10.0, 1e-7))
    dust, spent = EpsilonDelta(0.0, 9e-12), EpsilonDelta(0.0, 5e-12)
    for number in range(70):
        plane.ask(f"c{number}", builders.allocate(demand=dust), ConsumeRequest({"ns/b": spent}))
    plane.require_sound()
    plane.require_settled()
    assert dict(plane.claim("c0").status.acquired) == {"ns/b": dust - spent}
    left = EpsilonDelta(10.0, 1e-7 - 70 * 9e-12)
    assert plane.status("b").available.values == pytest.approx(left.values, rel=1e-12)
    require_exact(plane.blocks()["ns/b"])
    plane.ask("honest", builders.allocate(10.0))
    assert plane.states("honest") == ["success"]


def test_requests_beyond_those_that_a_namespace_may_have_waiting_are_refused(plane: Plane) -> None:
    plane.waiting_per_namespace = 3
    plane.block("b")
    for number in range(5):
        plane.store.create(plane.claim_of(f"c{number}", builders.allocate(2.0)))
    plane.run()
    assert [plane.states(f"c{number}") for number in range(5)] == [["pending"]] * 3 + [["failure"]] * 2
    refusal = str(plane.claim("c4").status.responses[0].refusal)
    assert refusal == "namespace ns: 3 requests wait, and waiting_per_namespace is 3; ask again later"
    plane.clock.time_ms += 6000
    plane.run()
    plane.ask("honest", builders.allocate(0.5))
    assert plane.states("honest") == ["success"]
    plane.require_settled()


def test_requests_beyond_those_that_may_wait_for_a_block_are_refused(plane: Plane) -> None:
    plane.waiting_per_block = 2
    plane.block("b")
    for number in range(3):
        plane.ask(f"c{number}", builders.allocate(2.0))
    assert [plane.states(f"c{number}") for number in range(3)] == [["pending"]] * 2 + [["failure"]]
    assert "block ns/b: 2 requests wait for it" in str(plane.claim("c2").status.responses[0].refusal)
    plane.store.delete(plane.claim("c0"))
    plane.ask("honest", builders.allocate(0.5))
    assert plane.states("honest") == ["success"]


def test_requests_that_are_granted_leave_room_in_the_same_pass(plane: Plane) -> None:
    plane.waiting_per_namespace = plane.waiting_per_block = 1
    plane.block("b")
    plane.ask("c", builders.allocate(0.25), builders.allocate(0.25), builders.allocate(0.25))
    assert plane.states("c") == ["success"] * 3


def test_a_block_that_lost_orders_in_an_earlier_version_keeps_the_others(plane: Plane) -> None:
    """Then a grant of zero at one order, which was released again, left only that one in the available part."""
    block = plane.block("b", WHOLE)
    left = RenyiCurve((3,), (1.9,))
    plane.store.update_status(replace(block, status=replace(plane.status("b"), pending=WHOLE * 0.0, available=left)))
    plane.ask("c", builders.allocate(demand=WHOLE), ConsumeRequest({"ns/b": WHOLE}))
    assert plane.states("c") == ["success", "success"]
    status = plane.status("b")
    assert (status.available, status.committed["ns/c"]) == (left * 0.0, left)
    assert [condition.reason for condition in status.conditions] == ["NothingLeft", "Committed95Percent"]
    assert not plane.claim("c").status.acquired


def test_no_claim_keeps_its_place_by_one_request_after_another(plane: Plane) -> None:
    plane.waiting_per_block, plane.longest_timeout_ms = 3, 60_000
    plane.block("b")
    plane.ask("holder", builders.allocate(0.5))
    hopeless = builders.allocate(0.9, timeout_ms=40_000)
    for number in range(3):
        plane.ask(f"c{number}", *[hopeless] * bounds.REQUESTS)
    plane.clock.time_ms += 40_000
    plane.run()
    assert plane.states("c0") == ["failure", "pending"]
    assert next_due.seconds_until(plane.store, plane.policy, now_ms=plane.clock.time_ms) == 20.0
    plane.clock.time_ms += 20_000
    plane.run()
    plane.ask("honest", builders.allocate(0.5))
    assert plane.states("honest") == ["success"]
    refused = [str(response.refusal) for response in plane.claim("c0").status.responses[1:3]]
    assert refused[0] == "timeout: the claim has waited longest_timeout_ms, which is 60000; ask in another claim"
    assert refused[1].startswith("claim ns/c0: its requests have waited 60000 ms in vain")
    plane.require_settled()


def test_no_request_keeps_its_place_longer_than_the_policy_lets_any_wait(plane: Plane) -> None:
    plane.waiting_per_block, plane.longest_timeout_ms = 3, 60_000
    plane.block("b")
    for number in range(3):
        plane.ask(f"c{number}", builders.allocate(0.9, 0.5, timeout_ms=bounds.LONGEST_MS))
    asked_ms = plane.clock.time_ms
    assert next_due.seconds_until(plane.store, plane.policy, now_ms=asked_ms) == 60.0
    plane.clock.time_ms = asked_ms + 59_999
    plane.run()
    assert [plane.states(f"c{number}") for number in range(3)] == [["pending"]] * 3
    plane.clock.time_ms = asked_ms + 60_000
    plane.run()
    plane.ask("honest", builders.allocate(0.5))
    assert plane.states("honest") == ["success"]
    refusal = plane.claim("c0").status.responses[0].refusal
    assert refusal is not None
    assert refusal.reason is RefusalReason.TIMED_OUT
    plane.require_settled()


def test_the_answer_says_that_the_policy_and_not_the_request_ended_the_wait(plane: Plane) -> None:
    plane.block("b")
    plane.ask("holder", builders.allocate(0.9))
    plane.ask("long", builders.allocate(0.5, timeout_ms=90_000))
    plane.ask("short", builders.allocate(0.5, timeout_ms=60_000))
    plane.longest_timeout_ms = 60_000  # set while they wait
    plane.clock.time_ms += 60_000
    plane.run()
    answers = [str(plane.claim(name).status.responses[0].refusal) for name in ("long", "short")]
    assert answers == ["timeout: 90000 ms is above longest_timeout_ms, which is 60000; ask again", "timeout"]


@pytest.mark.parametrize("order", ["fcfs", "dpf", "dpack", "rr"])
def test_an_amount_near_the_largest_number_is_refused_at_once_and_delays_nobody(plane: Plane, order: str) -> None:
    plane.unlock, plane.order = "n=2", order
    plane.block("b")
    for number in range(3):
        plane.ask(f"c{number}", builders.allocate(1.7e308))
        assert plane.states(f"c{number}") == ["failure"]
    refusal = str(plane.claim("c0").status.responses[0].refusal)
    assert refusal == "demand on ns/b: 1.7e+308 is above 1e+15; give smaller amounts"
    plane.ask("honest", builders.allocate(0.5), ConsumeRequest({"ns/b": EpsilonDelta(1.7e308)}))
    assert plane.states("honest") == ["success", "success"]
    detail = plane.claim("honest").status.responses[1].detail
    assert isinstance(detail, ConsumeResponse)
    assert detail.blocks["ns/b"].error == "amount: 1.7e+308 is above 1e+15; give smaller amounts"
    assert plane.claim("honest").status.acquired == {"ns/b": EpsilonDelta(0.5)}
