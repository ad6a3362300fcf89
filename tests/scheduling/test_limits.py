"""Limits beside the budgets of blocks: a decision with them is that of a queue in which they are part of what fits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.request_id import RequestId
from privatekube.scheduling import cycle, limits, ordering, unlocking
from privatekube.scheduling.limits import Limit
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import BlockView, GrantDecision, Snapshot, WaitingRequest
from tests import builders

EIGHTHS = st.integers(1, 8).map(lambda number: number / 8)


@given(st.lists(st.tuples(EIGHTHS, st.booleans()), max_size=8), EIGHTHS, st.sampled_from(["fcfs", "dpf"]))
def test_limited_requests_are_granted_one_after_the_other_as_long_as_the_limit_allows(
    asked: list[tuple[float, bool]], most: float, order: str
) -> None:
    """The reference decides after each single grant again, on the requests that the limit then allows."""
    policy = Policy(unlocking.parse("all"), ordering.parse(order), default_timeout_ms=1)
    whole = EpsilonDelta(1.0, 1e-6)
    waiting = {
        RequestId(f"ns/{number}", 0): WaitingRequest(
            RequestId(f"ns/{number}", 0), {"ns/b": EpsilonDelta(epsilon)}, None, number
        )
        for number, (epsilon, _) in enumerate(asked)
    }
    limited = frozenset(RequestId(f"ns/{number}", 0) for number, (_, is_limited) in enumerate(asked) if is_limited)
    limit = Limit(limited, {"ns/b": EpsilonDelta(most, 1e-6)}, {"ns/b": whole * 0.0})
    blocks = {"ns/b": BlockView("ns/b", whole, whole)}
    decided = [
        grant.request_id
        for grant in cycle.decide(Snapshot(blocks, tuple(waiting.values()), (limit,) if limited else ()), policy)
    ]
    expected: list[RequestId] = []
    left, used = 1.0, 0.0
    while True:
        fitting = {
            key: request
            for key, request in waiting.items()
            if key not in limited or used + request.demand["ns/b"].values[0] <= most
        }
        now = {"ns/b": BlockView("ns/b", whole, EpsilonDelta(left, 1e-6))}
        grants = cycle.decide(Snapshot(now, tuple(fitting.values())), policy)
        if not grants:
            break
        chosen = grants[0].request_id
        amount = waiting.pop(chosen).demand["ns/b"].values[0]
        left, used = left - amount, used + (amount if chosen in limited else 0.0)
        expected.append(chosen)
    assert decided == expected


def test_a_renyi_demand_is_within_a_limit_at_one_order_at_least_and_never_where_nothing_is_allowed() -> None:
    request = RequestId("ns/c", 0)
    limit = Limit(frozenset([request]), {"ns/b": builders.curve(0.0, 1.0)}, {"ns/b": builders.curve(0.0, 0.5)})
    assert limit.allows("ns/b", builders.curve(9.0, 0.5))
    assert not limit.allows("ns/b", builders.curve(0.1, 0.6))
    assert not limit.allows("ns/b", EpsilonDelta(0.1))
    assert not limit.allows("ns/other", builders.curve(0.0, 0.1))
    after = limit.after(request, {"ns/b": builders.curve(1.0, 0.25)})
    assert not limits.allow([after], request, {"ns/b": builders.curve(0.0, 0.5)})
    assert limits.allow([after], RequestId("ns/free", 0), {"ns/b": builders.curve(0.0, 0.5)})


def test_a_demand_of_0_where_nothing_is_allowed_is_not_within_the_limit_for_that() -> None:
    request = RequestId("ns/c", 0)
    limit = Limit(frozenset([request]), {"ns/b": builders.curve(0.0, 1.0)}, {"ns/b": builders.curve(0.0, 0.5)})
    assert not limit.allows("ns/b", builders.curve(0.0, 0.6))
    assert limit.allows("ns/b", builders.curve(0.0, 0.5))


@pytest.mark.parametrize("order", ["fcfs", "dpf", "dpack"])
def test_a_decision_with_limits_does_not_begin_again_for_each_request(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of many requests may have any block, and the limit allows one on each: it took 24 s for 200 on 200."""
    n_times, number = 0, 30
    decided = cycle._decided

    def counted(snapshot: Snapshot, policy: Policy) -> Iterator[GrantDecision]:
        nonlocal n_times
        n_times += 1
        return decided(snapshot, policy)

    monkeypatch.setattr(cycle, "_decided", counted)
    policy = Policy(unlocking.parse("all"), ordering.parse(order), default_timeout_ms=1)
    whole, one = EpsilonDelta(10.0, 1e-6), EpsilonDelta(1.0)
    names = [f"ns/b{index}" for index in range(number)]
    waiting = tuple(
        WaitingRequest(RequestId(f"ns/c{index}", 0), dict.fromkeys(names, one), 1, index) for index in range(number + 5)
    )
    limit = Limit(
        frozenset(request.id for request in waiting),
        dict.fromkeys(names, EpsilonDelta(1.0, 1e-6)),
        dict.fromkeys(names, whole * 0.0),
    )
    blocks = {name: BlockView(name, whole, whole) for name in names}
    grants = cycle.decide(Snapshot(blocks, waiting, (limit,)), policy)
    assert sorted(name for grant in grants for name in grant.amounts) == sorted(names)
    assert n_times == 1
