"""Requests that were made to stop the control plane or to take budget from others: each stops nothing but itself."""

from __future__ import annotations

import pytest

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
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
