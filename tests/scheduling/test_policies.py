"""One contract for every policy, and what each policy promises beyond it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import bounds
from privatekube.resources.block import FlowReleasing
from privatekube.resources.request_id import RequestId
from privatekube.scheduling import cycle, ordering, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import BlockView, GrantDecision, Snapshot, WaitingRequest
from privatekube.scheduling.unlocking import UnlockSchedule
from tests import builders
from tests.examples import examples
from tests.scheduling import reference

BLOCKS = ["a", "b", "c"]
WHOLES: list[PrivacyBudget] = [EpsilonDelta(2.0, 1e-6), builders.curve(0.0, 1.0, 3.0), RenyiCurve((2, 7), (1, 2))]
parts = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 1.0, 1.2])


def view(name: str, whole: PrivacyBudget, unlocked: float = 1.0) -> BlockView:
    return BlockView(name, whole, whole * unlocked)


def policy(order: str) -> Policy:
    return Policy(unlocking.parse("n=7"), ordering.parse(order))


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
    return Snapshot(blocks, tuple(sorted(waiting, key=lambda request: request.arrival_ms)))


def available_after(snapshot: Snapshot, grants: tuple[GrantDecision, ...]) -> dict[str, PrivacyBudget]:
    left = {name: block.available for name, block in snapshot.blocks.items()}
    waiting = {request.id: request for request in snapshot.waiting}
    for grant in grants:
        for name, demand in grant.amounts.items():
            assert demand == waiting[grant.request_id].demand[name]
            assert left[name].admits(demand, capacity=snapshot.blocks[name].capacity)
            left[name] = left[name] - demand
    return left


@pytest.mark.slow
@pytest.mark.parametrize("order", sorted(ordering.ORDERINGS))
@given(snapshot=snapshots())
def test_every_policy_grants_what_fits_until_nothing_does(order: str, snapshot: Snapshot) -> None:
    grants = cycle.decide(snapshot, policy(order))
    assert grants == cycle.decide(snapshot, policy(order))
    left = available_after(snapshot, grants)
    granted = {grant.request_id: grant for grant in grants}
    assert len(granted) == len(grants)
    left_over = [waiting for waiting in snapshot.waiting if waiting.id not in granted]
    sharers = reference.sharers(left_over, order, snapshot.blocks)
    for waiting in snapshot.waiting:
        needed = min(waiting.n_blocks or len(waiting.demand), len(waiting.demand))
        if waiting.id in granted:
            assert len(granted[waiting.id].amounts) == needed
        else:
            assert reference.chosen_blocks(waiting, snapshot.blocks, left, sharers) is None


@pytest.mark.slow
@pytest.mark.parametrize("order", ["fcfs", "dpf"])
@settings(max_examples=examples(400))
@given(snapshot=snapshots())
def test_arrays_decide_as_the_literal_specification_does(order: str, snapshot: Snapshot) -> None:
    assert list(cycle.decide(snapshot, policy(order))) == reference.grants(snapshot, order)


def test_dpf_grants_the_smallest_dominant_share_and_then_the_next_largest() -> None:
    whole = EpsilonDelta(4.0)
    blocks = {name: view(name, whole, 0.5) for name in ("a", "b")}
    pairs = {"p1": (0.5, 1.5), "p2": (1.0, 1.0), "p3": (1.5, 1.0)}
    waiting = tuple(
        request(name, {"a": EpsilonDelta(a), "b": EpsilonDelta(b)}, at=at)
        for at, (name, (a, b)) in enumerate(sorted(pairs.items(), reverse=True))
    )
    grants = cycle.decide(Snapshot(blocks, waiting), policy("dpf"))
    assert [grant.request_id.claim for grant in grants] == ["ns/p2"]
    roomy = {name: view(name, whole, 1.0) for name in ("a", "b")}
    grants = cycle.decide(Snapshot(roomy, waiting), policy("dpf"))
    assert [grant.request_id.claim for grant in grants] == ["ns/p2", "ns/p1", "ns/p3"]


def test_fcfs_grants_the_oldest_that_fits() -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0))}
    waiting = tuple(request(f"c{i}", {"a": EpsilonDelta(e)}, at=i) for i, e in enumerate((0.8, 0.3, 0.2)))
    assert cycle.decide(Snapshot(blocks, waiting), policy("fcfs")) == (
        GrantDecision(RequestId("ns/c0", 0), {"a": EpsilonDelta(0.8)}),
        GrantDecision(RequestId("ns/c2", 0), {"a": EpsilonDelta(0.2)}),
    )


def test_the_blocks_of_smallest_share_are_chosen() -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0)), "b": view("b", EpsilonDelta(4.0))}
    waiting = (request("c", {"a": EpsilonDelta(0.5), "b": EpsilonDelta(0.5)}, 1),)
    grants = cycle.decide(Snapshot(blocks, waiting), policy("dpf"))
    assert grants == (GrantDecision(RequestId("ns/c", 0), {"b": EpsilonDelta(0.5)}),)


@pytest.mark.parametrize("impossible", [EpsilonDelta(1.01), EpsilonDelta(0.1, 1e-6)])
def test_a_request_for_more_than_the_block_ever_had_takes_no_share_from_the_others(impossible: EpsilonDelta) -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0, 1e-7), 0.2)}
    hostile = [request(f"c{number}", {"a": impossible}) for number in range(9)]
    honest = request("honest", {"a": EpsilonDelta(0.2, 1e-8)}, at=1)
    (grant,) = cycle.decide(Snapshot(blocks, (*hostile, honest)), policy("rr"))
    assert grant.request_id.claim == "ns/honest"


def test_a_request_shares_only_those_of_its_blocks_on_which_it_could_be_granted() -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0), 0.2), "b": view("b", EpsilonDelta(2.0), 0.2)}
    large = request("large", {"a": EpsilonDelta(1.5), "b": EpsilonDelta(1.5)}, 1)
    small = request("small", {"a": EpsilonDelta(0.2)}, at=1)
    assert [grant.request_id.claim for grant in cycle.decide(Snapshot(blocks, (large, small)), policy("rr"))] == [
        "ns/small"
    ]


@pytest.mark.parametrize("order", sorted(ordering.ORDERINGS))
def test_demands_near_the_largest_number_wait_and_delay_no_other(order: str) -> None:
    blocks = {"a": view("a", EpsilonDelta(1.0, 1e-7)), "b": view("b", RenyiCurve((2, 4), (1.0, 1e-7)))}
    huge: dict[str, PrivacyBudget] = {"a": EpsilonDelta(25.0, 1e308), "b": RenyiCurve((2, 4), (1.7e308, 1.7e308))}
    small: dict[str, PrivacyBudget] = {"a": EpsilonDelta(0.1, 1e-8), "b": RenyiCurve((2, 4), (0.1, 1e-8))}
    waiting = (request("c0", huge), request("c1", huge), request("c2", small, at=1))
    assert [grant.request_id.claim for grant in cycle.decide(Snapshot(blocks, waiting), policy(order))] == ["ns/c2"]


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


UNKNOWN = ["", "all=3", "n=", "n=0", "n=-1", "n=1.5", "t=10s", "t=0s,1s", "t=1,2", "x=3"]
HUGE = [f"n={'9' * 5000}", f"t={'9' * 5000}s,1s"]


@pytest.mark.parametrize("text", [*UNKNOWN, *HUGE], ids=lambda text: text[:8])
def test_an_unknown_policy_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="unlock"):
        unlocking.parse(text)


@pytest.mark.parametrize("name", ["default_timeout_ms", "longest_timeout_ms", "settle_within_ms", "waiting_per_block"])
@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "\u00b2", str(bounds.LONGEST_MS + 1), "9" * 5000], ids=lambda text: text[:8]
)
def test_a_setting_out_of_its_bounds_is_refused(name: str, text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=name):
        Policy.parse({name: text})
