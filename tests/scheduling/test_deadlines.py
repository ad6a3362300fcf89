"""Deadlines of claims: the earliest goes first among equal demands under dpf and dpack, and only there."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.scheduling.policy import Policy
from privatekube.simulation import replay, scenario
from privatekube.simulation.replay import Replay

FIELDS = ["id", "arrival_s", "first_block", "num_blocks", "epsilon", "deadline_s"]


def replayed(
    order: str, *claims: list[object], kind: str = "offline", unlock: str = "all", blocks: int = 1, **given: object
) -> Replay:
    content = {
        "kind": kind,
        "block_capacity": 1.0,
        "blocks": [{"id": f"b{row}", "arrival": 0} for row in range(blocks)],
        "claim_fields": FIELDS,
        "claims": list(claims),
        **given,
    }
    return replay.replay(scenario.parse(content), Policy.parse({"order": order, "unlock": unlock}))


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_of_equal_demands_the_earliest_deadline_goes_first_and_those_without_one_last(order: str) -> None:
    claims: list[list[object]] = [
        ["none", 0, 0, 1, 0.3, None],
        ["late", 1, 0, 1, 0.3, 90],
        ["soon", 2, 0, 1, 0.3, 50],
        ["too", 3, 0, 1, 0.3, 90],
    ]
    assert replayed(order, *claims).granted == ("soon", "late", "too")


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_a_smaller_demand_goes_before_any_deadline(order: str) -> None:
    assert replayed(order, ["soon", 0, 0, 1, 0.6, 1], ["small", 0, 0, 1, 0.5, None]).granted == ("small",)


def test_dpf_asks_for_the_deadline_only_where_all_shares_are_equal() -> None:
    pair = (["soon", 0, 0, 2, 0.6, 1], ["fewer", 0, 0, 1, 0.6, None])
    assert replayed("dpf", *pair, blocks=2).granted == ("fewer",)


def test_first_come_first_served_ignores_deadlines() -> None:
    assert replayed("fcfs", ["first", 0, 0, 1, 0.6, None], ["soon", 1, 0, 1, 0.6, 50]).granted == ("first",)


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_a_claim_whose_order_is_by_deadline_is_found_again_when_budget_unlocks(order: str) -> None:
    """Parked requests are kept in order, so that the deadline counts for those that did not fit at first, too."""
    claims = [[f"c{i}", 0, 0, 1, 0.2, 1000 - i] for i in range(8)]
    result = replayed(order, *claims, kind="online", unlock="t=10s,100s")
    assert result.granted == ("c7", "c6", "c5", "c4", "c3")


@pytest.mark.parametrize("order", ["fcfs", "rr", "dpf", "dpack"])
def test_a_claim_waits_until_its_deadline_and_is_not_granted_from_then_on(order: str) -> None:
    def granted(deadline: object) -> tuple[object, ...]:
        return replayed(order, ["c", 0, 0, 1, 0.5, deadline], kind="online", unlock="t=10s,100s").granted

    assert granted(51) == ("c",)
    assert granted(50) == ()  # the budget would be there in this moment
    assert granted(0) == ()


def test_without_deadlines_the_limit_of_the_scenario_counts_alone() -> None:
    waits = ["c", 0, 0, 1, 0.5, None]
    assert replayed("dpf", waits, kind="online", unlock="t=10s,100s", timeout_s=60).granted == ("c",)
    assert replayed("dpf", waits, kind="online", unlock="t=10s,100s", timeout_s=40).granted == ()


def test_a_deadline_that_is_not_a_time_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"claims\[0\].deadline_s"):
        replayed("dpf", ["c", 0, 0, 1, 0.5, -1])
