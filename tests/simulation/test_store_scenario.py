"""The claims of a store, replayed: the policy that it has grants what it granted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.privacy.budget import EpsilonDelta
from privatekube.scheduling.policy import Policy
from privatekube.simulation import replay, store_scenario
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.passes import run_pass


def recorded(unlock: str, epsilons: list[float]) -> BudgetClient:
    """Return a client of a store in which a claim for each epsilon came, a second apart."""
    clock = FakeClock()
    client = BudgetClient(MemoryStore(clock), clock=clock)
    client.set_policy(unlock=unlock, order="dpf")
    client.create_blocks([builders.block("a", EpsilonDelta(1.0, 1e-7)), builders.block("b", EpsilonDelta(1.0, 1e-7))])
    for number, epsilon in enumerate(epsilons):
        clock.time_ms += 1000
        client.store.create(builders.claim(f"c{number}", builders.allocate(epsilon, timeout_ms=10**9)))
        run_pass(client)
    return client


@pytest.mark.parametrize("unlock", ["all", "n=4"])
def test_the_policy_of_the_store_grants_what_it_granted(unlock: str) -> None:
    client = recorded(unlock, [0.6, 0.3, 0.5, 0.1, 0.2])
    found = store_scenario.scenario(client.list_blocks(), client.list_claims())
    result = replay.replay(found, client.policy())
    assert {str(name) for name in result.granted} == {claim.id for claim in client.list_claims() if claim.grants}


def test_another_policy_grants_something_else() -> None:
    client = recorded("all", [0.6, 0.3, 0.5, 0.1])
    found = store_scenario.scenario(client.list_blocks(), client.list_claims())
    assert set(replay.replay(found, client.policy()).granted) == {"ns/c0", "ns/c1", "ns/c3"}
    other = replay.replay(found, Policy.parse({"unlock": "n=4", "order": "dpf"}))
    assert set(other.granted) == {"ns/c1", "ns/c2", "ns/c3"}


def test_what_cannot_be_replayed_is_left_out() -> None:
    client = recorded("all", [0.5])
    blocks, (claim,) = client.list_blocks(), client.list_claims()
    of_renyi = [replace(block, spec=replace(block.spec, initial_budget=builders.curve(1.0))) for block in blocks]
    assert store_scenario.scenario(of_renyi, [claim]).claims == ()
    by_block = builders.claim("other", replace(builders.allocate(), dataset="none"))
    assert store_scenario.scenario(blocks, [by_block]).claims == ()


def test_a_store_without_blocks_and_too_many_demands_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.InvalidInput, match="there are no blocks"):
        store_scenario.scenario([], [])
    client = recorded("all", [0.1, 0.1])
    monkeypatch.setattr(store_scenario, "MOST_DEMANDS", 3)
    with pytest.raises(errors.InvalidInput, match="claims: 4 demands are more than 3"):
        store_scenario.scenario(client.list_blocks(), client.list_claims())
