"""Datasets that several controllers decide about: what is granted, how long claims wait, what an etcd has to hold."""

from __future__ import annotations

from types import ModuleType

import pytest

from privatekube.client.client import BudgetClient
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requests import AllocateRequest, BudgetDemand, Request
from privatekube.scheduling.policy import Policy
from privatekube.simulation.replay import replay
from privatekube.simulation.scenario import Scenario, SimulatedBlock, SimulatedClaim
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.passes import run_pass
from tests.simulation import programs

COMPETING = {"claims_per_hour": 50, "hours": 8, "n_datasets": 4, "blocks_a_day": 4, "width": 10}


@pytest.fixture(scope="module")
def several() -> ModuleType:
    return programs.load("several_controllers")


def granted_by_passes(scenario: Scenario, order: str) -> set[str]:
    """Return the claims that are granted by the passes of a control plane over its own store, one for each arrival."""
    clock = FakeClock()
    client = BudgetClient(MemoryStore(clock), clock=clock)
    client.set_policy(unlock="n=40", order=order)
    names = [str(block.id) for block in scenario.blocks]
    datasets = [name.partition("-")[0] for name in names]
    whole = [block.capacity for block in scenario.blocks]
    blocks = zip(names, whole, datasets, strict=True)
    client.create_blocks([builders.block(name, budget, dataset=dataset) for name, budget, dataset in blocks])
    for claim in scenario.claims:
        clock.time_ms = round(claim.arrival_seconds * 1000) + 1000
        demands = {f"{builders.NAMESPACE}/{names[row]}": claim.demand for row in claim.blocks}
        demand, dataset = BudgetDemand(by_block=demands), datasets[claim.blocks[0]]
        request = AllocateRequest(dataset, demand, min_blocks=len(demands), timeout_ms=7_200_000)
        spec = ClaimSpec((Request("allocate", request),))
        client.store.create(PrivacyBudgetClaim(ObjectMeta(str(claim.id), builders.NAMESPACE), spec))
        run_pass(client)
    return {claim.meta.name for claim in client.list_claims() if claim.grants}


@pytest.mark.parametrize("order", ["fcfs", "dpf"])
def test_the_engine_grants_the_same_claims_in_one_control_plane_and_in_one_for_each_share(
    several: ModuleType, order: str
) -> None:
    parts = several.datasets(10, 8, seed=1, n_datasets=3, blocks_a_day=0, width=4)
    at_once = granted_by_passes(several.together(parts), order)
    apart = [granted_by_passes(several.together(share), order) for share in several.shares(parts, 2)]
    assert all(apart)
    assert set().union(*apart) == at_once
    assert len(at_once) < sum(len(part.claims) for part in parts)


@pytest.mark.parametrize("order", ["fcfs", "dpf", "rr"])
@pytest.mark.parametrize("unlock", ["n=20", "t=1h,40h"])
def test_a_scheduler_grants_the_same_claims_if_it_decides_about_each_dataset_by_itself(
    several: ModuleType, unlock: str, order: str
) -> None:
    parts, policy = several.datasets(**COMPETING, seed=1), Policy.parse({"unlock": unlock, "order": order})
    at_once = replay(several.together(parts), policy).granted
    assert set(at_once) == {claim for part in parts for claim in replay(part, policy).granted}
    assert 0 < len(at_once) < sum(len(part.claims) for part in parts)


def test_dpack_grants_other_claims_where_datasets_are_apart_since_it_counts_its_rounds_over_all_that_wait(
    several: ModuleType,
) -> None:
    parts, policy = several.datasets(**COMPETING, seed=1), Policy.parse({"unlock": "t=1h,40h", "order": "dpack"})
    at_once = set(replay(several.together(parts), policy).granted)
    apart = {claim for part in parts for claim in replay(part, policy).granted}
    assert at_once != apart
    assert len(at_once ^ apart) < len(at_once) / 4


def test_every_dataset_has_one_controller_and_the_largest_has_its_own(several: ModuleType) -> None:
    parts = several.datasets(1000, 1, seed=0)
    divided = several.shares(parts, 4)
    assert sorted(part.name for share in divided for part in share) == sorted(part.name for part in parts)
    assert [part.name for part in divided[0]] == ["d0"]


def one_dataset(arrivals: list[float], width: int) -> Scenario:
    """Return claims on all of a dataset's blocks."""
    budget = builders.block().spec.initial_budget
    blocks = tuple(SimulatedBlock(f"d0-{row}", 0.0, budget) for row in range(width))
    claims = tuple(SimulatedClaim(f"c{n}", seconds, range(width), budget) for n, seconds in enumerate(arrivals))
    return Scenario("d0", offline=False, timeout_seconds=None, blocks=blocks, claims=claims)


def test_a_claim_waits_for_what_its_blocks_cost_and_one_that_comes_meanwhile_for_two_passes(
    several: ModuleType,
) -> None:
    one_pass = 100 * (several.GRANT_SECONDS + several.LOOK_SECONDS)
    assert several.waits([one_dataset([10.0], 100)]) == pytest.approx([one_pass])
    assert several.waits([one_dataset([10.0, 10.1], 100)]) == pytest.approx([one_pass, 2 * one_pass - 0.1])


def test_a_second_controller_shortens_the_wait_for_the_other_datasets_alone(several: ModuleType) -> None:
    parts = several.datasets(2000, 2, seed=0, is_hourly=True)
    largest, others = several.shares(parts, 2)
    together = several.waits(parts)
    assert max(several.waits(others)) < max(together)
    assert max(several.waits(largest)) > max(several.waits([parts[1]]))


def test_a_paid_claim_takes_its_object_its_entries_of_the_ledger_and_room_on_its_blocks(several: ModuleType) -> None:
    empty, paid = several.bytes_by_day(one_dataset([], 10), 1), several.bytes_by_day(one_dataset([5.0], 10), 1)
    assert empty.tolist() == [10 * several.NEW_BLOCK]
    of_each_block = several.CLAIMED_BLOCK + several.ENTRY + several.NAMED_CLAIM
    assert (paid - empty).tolist() == [several.NEW_CLAIM + 10 * of_each_block]


def test_a_block_that_names_too_many_claims_names_two_after_one_more(several: ModuleType) -> None:
    most = several.MOST_NAMED
    before, after = (several.bytes_by_day(one_dataset([5.0] * n, 1), 1)[0] for n in (most, most + 1))
    of_a_claim = several.NEW_CLAIM + several.CLAIMED_BLOCK + several.ENTRY
    assert after - before == of_a_claim - (most - 2) * several.NAMED_CLAIM
