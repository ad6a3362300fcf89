"""The position of a claim is its place in the order in which the policy then grants."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube.client.client import BudgetClient
from privatekube.forecast import positions
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.examples import examples
from tests.passes import run_pass


def places(client: BudgetClient) -> dict[str, int]:
    return positions.positions(client.list_claims(), {b.id: b for b in client.list_blocks()}, client.policy())


def waiting(order: str, epsilons: list[float]) -> BudgetClient:
    """Return a client of a store in which a claim for each epsilon waits, in the order of the list."""
    clock = FakeClock()
    client = BudgetClient(MemoryStore(clock), clock=clock)
    client.set_policy(unlock="n=100", order=order)
    client.create_blocks([builders.block("a", EpsilonDelta(1000.0, 1e-7))])
    for number, epsilon in enumerate(epsilons):
        clock.time_ms += 1000
        client.store.create(builders.claim(f"c{number}", builders.allocate(epsilon, timeout_ms=10**9)))
        run_pass(client)
    return client


@pytest.mark.parametrize(("order", "expected"), [("fcfs", ["c0", "c1", "c2"]), ("dpf", ["c1", "c2", "c0"])])
def test_positions_follow_the_policy(order: str, expected: list[str]) -> None:
    found = places(waiting(order, [90.0, 50.0, 70.0]))
    assert found == {f"ns/{name}": place for place, name in enumerate(expected, start=1)}


@settings(max_examples=examples(10))
@given(st.lists(st.integers(50, 99), min_size=2, max_size=3, unique=True))
def test_claims_are_granted_in_the_order_of_their_positions(epsilons: list[int]) -> None:
    client = waiting("dpf", [float(epsilon) for epsilon in epsilons])
    before = places(client)
    assert sorted(before.values()) == list(range(1, len(epsilons) + 1))
    granted: list[str] = []
    for number in itertools.count():
        client.store.create(builders.claim(f"push-{number}", builders.allocate(999.0, timeout_ms=10**9)))
        run_pass(client)
        new = [claim.id for claim in client.list_claims() if claim.grants and claim.id not in granted]
        granted += sorted(new, key=before.__getitem__)
        if len(granted) == len(epsilons):
            break
    assert granted == sorted(before, key=before.__getitem__)


def test_what_does_not_wait_or_waits_for_what_is_gone_has_no_position() -> None:
    client = waiting("dpf", [90.0])
    claims: list[PrivacyBudgetClaim] = client.list_claims()
    assert positions.positions(claims, {}, client.policy()) == {}
    assert positions.positions([], {}, client.policy()) == {}
    other = builders.block("a", builders.curve(1.0, 2.0))
    assert positions.positions(claims, {"ns/a": other}, client.policy()) == {}
