"""One contract for every policy, and what each policy promises beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.block import FlowReleasing
from privatekube.resources.request_id import RequestId
from privatekube.scheduling import cycle, ordering, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import (
    BlockView,
    Decisions,
    GrantDecision,
    Snapshot,
    UnlockSchedule,
    WaitingRequest,
)
from tests import builders
from tests.scheduling import reference

UNLOCKS = ["all", "n=1", "n=7", "t=1s,10s"]
BLOCKS = ["a", "b", "c"]
SCHEDULE = {"created_ms", "last_release_ms", "flow"}
WHOLES: list[PrivacyBudget] = [EpsilonDelta(2.0, 1e-6), builders.curve(0.0, 1.0, 3.0), RenyiCurve((2, 7), (1, 2))]
parts = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 1.0, 1.2])


def view(name: str, whole: PrivacyBudget, unlocked: float = 1.0, **changes: Any) -> BlockView:
    schedule = UnlockSchedule(**{"created_ms": 0, **{key: changes.pop(key) for key in SCHEDULE & changes.keys()}})
    fields: dict[str, Any] = {"pending": whole * (1 - unlocked), "available": whole * unlocked} | changes
    return BlockView(id=name, capacity=whole, schedule=schedule, **fields)


def request(name: str, demand: dict[str, PrivacyBudget], n_blocks: int | None = None, at: int = 0) -> WaitingRequest:
    return WaitingRequest(RequestId(f"ns/{name}", 0), demand, n_blocks, at)


@st.composite
def demands(draw: st.DrawFn, whole: PrivacyBudget, part: float) -> PrivacyBudget:
    """Draw a part of a budget; of a curve perhaps at some of its orders only, and unequal parts of them."""
    if isinstance(whole, EpsilonDelta):
        return EpsilonDelta(whole.epsilon * part, whole.delta * draw(parts))
    kept = draw(st.sets(st.sampled_from(whole.orders), min_size=1))
    factor = draw(st.sampled_from([1.0, 1.0, 0.5]))
    return RenyiCurve.from_pairs((a, e * part * (factor if a > 3 else 1)) for a, e in whole.as_pairs() if a in kept)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    wholes = {name: draw(st.sampled_from(WHOLES)) for name in BLOCKS}
    blocks = {name: view(name, whole, draw(st.sampled_from([0.0, 0.4, 1.0]))) for name, whole in wholes.items()}
    waiting = []
    for number in range(draw(st.integers(0, 8))):
        chosen = draw(st.sets(st.sampled_from(BLOCKS), min_size=1))
        part = draw(parts)
        demand = {name: draw(demands(wholes[name], part)) for name in sorted(chosen)}
        n_blocks = draw(st.none() | st.integers(1, 4))
        waiting.append(request(f"c{number}", demand, n_blocks, at=draw(st.integers(0, 3))))
    return Snapshot(5000, blocks, tuple(sorted(waiting, key=lambda request: request.arrival_ms)))


def available_after(snapshot: Snapshot, decisions: Decisions) -> dict[str, PrivacyBudget]:
    left = {
        name: block.available + decisions.unlocks[name] if name in decisions.unlocks else block.available
        for name, block in snapshot.blocks.items()
    }
    waiting = {request.id: request for request in snapshot.waiting}
    for grant in decisions.grants:
        for name in grant.blocks:
            demand = waiting[grant.request_id].demand[name]
            assert left[name].admits(demand, capacity=snapshot.blocks[name].capacity)
            left[name] = left[name] - demand
    return left


@pytest.mark.slow
@pytest.mark.parametrize("unlock", UNLOCKS)
@pytest.mark.parametrize("order", sorted(ordering.ORDERINGS))
@given(snapshot=snapshots())
def test_every_policy_grants_what_fits_until_nothing_does(unlock: str, order: str, snapshot: Snapshot) -> None:
    policy = Policy(unlocking.parse(unlock), ordering.parse(order))
    decisions = cycle.decide(snapshot, policy)
    assert decisions == cycle.decide(snapshot, policy)
    left = available_after(snapshot, decisions)
    granted = {grant.request_id: grant for grant in decisions.grants}
    assert len(granted) == len(decisions.grants)
    sharers = reference.sharers([waiting for waiting in snapshot.waiting if waiting.id not in granted], order)
    for waiting in snapshot.waiting:
        needed = min(waiting.n_blocks or len(waiting.demand), len(waiting.demand))
        if waiting.id in granted:
            assert len(set(granted[waiting.id].blocks)) == needed
            assert set(granted[waiting.id].blocks) <= set(waiting.demand)
        else:
            assert reference.chosen_blocks(waiting, snapshot.blocks, left, sharers) is None


@pytest.mark.slow
@pytest.mark.parametrize("order", ["fcfs", "dpf"])
@settings(max_examples=400)
@given(snapshot=snapshots())
def test_arrays_decide_as_the_literal_specification_does(order: str, snapshot: Snapshot) -> None:
    decisions = cycle.decide(snapshot, Policy(unlocking.parse("n=1"), ordering.parse(order)))
    assert list(decisions.grants) == reference.grants(snapshot, order)


def test_dpf_grants_the_smallest_dominant_share_and_then_the_next_largest() -> None:
    whole = EpsilonDelta(4.0)
    blocks = {name: view(name, whole, 0.5) for name in ("a", "b")}
    pairs = {"p1": (0.5, 1.5), "p2": (1.0, 1.0), "p3": (1.5, 1.0)}
    waiting = tuple(
        request(name, {"a": EpsilonDelta(a), "b": EpsilonDelta(b)}, at=at)
        for at, (name, (a, b)) in enumerate(sorted(pairs.items(), reverse=True))
    )
    decisions = cycle.decide(Snapshot(0, blocks, waiting), Policy(unlocking.parse("n=100"), ordering.parse("dpf")))
    assert [grant.request_id.claim for grant in decisions.grants] == ["ns/p2"]
    roomy = {name: view(name, whole, 1.0) for name in ("a", "b")}
    decisions = cycle.decide(Snapshot(0, roomy, waiting), Policy(unlocking.parse("n=100"), ordering.parse("dpf")))
    assert [grant.request_id.claim for grant in decisions.grants] == ["ns/p2", "ns/p1", "ns/p3"]


def test_fcfs_grants_the_oldest_that_fits() -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0))}
    waiting = tuple(request(f"c{i}", {"a": EpsilonDelta(e)}, at=i) for i, e in enumerate((0.8, 0.3, 0.2)))
    decisions = cycle.decide(Snapshot(9, blocks, waiting), Policy(unlocking.parse("n=1"), ordering.parse("fcfs")))
    assert decisions.grants == (
        GrantDecision(RequestId("ns/c0", 0), ("a",)),
        GrantDecision(RequestId("ns/c2", 0), ("a",)),
    )


def test_the_blocks_of_smallest_share_are_chosen() -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0)), "b": view("b", EpsilonDelta(4.0))}
    waiting = (request("c", {"a": EpsilonDelta(0.5), "b": EpsilonDelta(0.5)}, 1),)
    decisions = cycle.decide(Snapshot(0, blocks, waiting), Policy(unlocking.parse("n=1"), ordering.parse("dpf")))
    assert decisions.grants == (GrantDecision(RequestId("ns/c", 0), ("b",)),)


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
def test_time_releases_evenly_whenever_it_looks_and_all_at_the_end(steps: list[int]) -> None:
    policy = unlocking.PerTime(period_ms=1000, duration_ms=10_000)
    whole, now, last = EpsilonDelta(10.0), 0, None
    block = view("a", whole, 0.0)
    for step in steps:
        now += step
        amount = unlocking.tick_amount(policy, block.schedule, block.pending, now)
        if amount is not None:
            last = now
            block = view(
                "a",
                whole,
                pending=block.pending - amount,
                available=block.available + amount,
                last_release_ms=last,
            )
        assert block.available.values[0] == pytest.approx(10 * min(now, 10_000) / 10_000)


@pytest.mark.parametrize(
    ("flow", "window"),
    [
        (None, (500, 30_500)),
        (FlowReleasing(start_time_ms=900), (900, 30_900)),
        (FlowReleasing(end_time_ms=2000), (500, 2000)),
        (FlowReleasing(start_time_ms=900, end_time_ms=2000, duration_ms=50), (900, 950)),
    ],
)
def test_the_schedule_of_a_block_precedes_the_default(flow: FlowReleasing | None, window: tuple[int, int]) -> None:
    assert unlocking.PerTime().window(UnlockSchedule(created_ms=500, flow=flow)) == window


@pytest.mark.parametrize("text", ["all", "n=1", "n=100", "t=10s,30s", "t=5ms,2h"])
def test_a_policy_reads_its_own_name(text: str) -> None:
    policy = unlocking.parse(text)
    assert unlocking.parse(policy.name) == policy


@pytest.mark.parametrize("text", ["", "all=3", "n=", "n=0", "n=-1", "n=1.5", "t=10s", "t=0s,1s", "t=1,2", "x=3"])
def test_an_unknown_policy_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="unlock"):
        unlocking.parse(text)
