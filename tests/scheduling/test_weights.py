"""Weights of teams: a larger one lets the team's requests go first under dpf and dpack, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.resources.summary import ClaimState, state
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.request_table import RequestTable
from privatekube.simulation import replay, scenario
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.reconcile.harness import Plane


def granted(order: str, *, unlock: str = "all", **given: object) -> tuple[object, ...]:
    content = {
        "kind": "offline",
        "block_capacity": 1.0,
        "blocks": [{"id": "b", "arrival": 0}],
        "claim_fields": ["id", "arrival_s", "first_block", "num_blocks", "epsilon", "weight"],
        "claims": [["small", 0, 0, 1, 0.4, 1], ["large", 0, 0, 1, 0.7, given.get("weight", 2)]],
    }
    return replay.replay(scenario.parse(content), Policy.parse({"order": order, "unlock": unlock})).granted


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_a_larger_demand_goes_first_if_the_weight_of_its_team_outweighs_it(order: str) -> None:
    assert granted(order, weight=1) == ("small",)
    assert granted(order, weight=1.7) == ("small",)
    assert granted(order, weight=1.8) == ("large",)


def test_first_come_first_served_and_round_robin_weigh_nobody() -> None:
    assert granted("fcfs", weight=1000) == ("small",)
    assert granted("rr", unlock="n=2", weight=1000) == granted("rr", unlock="n=2", weight=1)


@pytest.mark.parametrize(("weights", "kept"), [([1.0, 1.0], None), ([1.0, 2.0], [1.0, 2.0])])
def test_without_weights_the_table_has_none_so_that_decisions_are_the_same_to_the_bit(
    weights: list[float], kept: list[float] | None
) -> None:
    amount = EpsilonDelta(1.0, 1e-6)
    columns = BudgetColumns([amount])
    blocks = BudgetTable.from_budgets(columns, capacity=[amount], pending=[amount * 0.0], available=[amount])
    edges = {"block": np.array([0, 0]), "curve": np.array([0, 0]), "demands": columns.rows([amount])}
    ones = np.array([1, 1])
    table = RequestTable.from_edges(blocks, counts=ones, needed=ones, **edges, weight=np.array(weights))
    assert (None if table.weight is None else table.weight.tolist()) == kept


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_the_data_owner_weighs_teams_by_their_quotas_and_the_smallest_weight_counts(order: str) -> None:
    plane = Plane(MemoryStore(), order=order)
    for name, team, weight in (("a", "ads", 3.0), ("b", "ads", 4.0), ("c", "fraud", None)):
        spec = QuotaSpec("d", team=team, share=1.0, weight=weight)
        plane.store.put_quota(PrivacyBudgetQuota(ObjectMeta(name, "ns"), spec))
    for name, team, epsilon in (("light", "fraud", 0.4), ("heavy", "ads", 0.7)):
        claim = plane.claim_of(name, builders.allocate(epsilon))
        plane.store.create(replace(claim, spec=replace(claim.spec, requester=Requester(team=team))))
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    for name in ("light", "heavy"):  # they were refused: no block matched
        plane.append(name, builders.allocate(0.4 if name == "light" else 0.7))
    plane.run()
    assert state(plane.claim("heavy")) is ClaimState.ACQUIRED
    assert state(plane.claim("light")) is ClaimState.WAITING


@pytest.mark.parametrize(
    ("weight", "fault"), [(0.0, "weight: 0.0 must be 0.001 to 1000"), (float("nan"), "weight: nan must be")]
)
def test_a_weight_out_of_its_bounds_is_refused(weight: float, fault: str) -> None:
    with pytest.raises(errors.InvalidInput, match=fault):
        QuotaSpec("d", team="ads", share=1.0, weight=weight)
    with pytest.raises(errors.InvalidInput, match="weight: is of a team"):
        QuotaSpec("d", share=1.0, weight=2.0)
    with pytest.raises(errors.InvalidInput, match=r"claims\[1\].weight"):
        granted("dpf", weight=0)
