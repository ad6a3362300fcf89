"""A claim with a deadline: the earliest of equals first, nothing granted from the deadline on, and nothing charged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.controller import next_due
from privatekube.forecast import forecast, positions, text
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import format_time
from privatekube.resources.refusals import RefusalReason
from privatekube.resources.requests import AllocateRequest, ConsumeRequest
from privatekube.resources.responses import AllocateResponse
from privatekube.resources.summary import ClaimState
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.harness import Plane

NEVER_MS = 10**8
PASSED = "deadline: 1970-01-01T00:00:10Z has passed"


def ask(plane: Plane, name: str, epsilon: float, deadline_ms: int | None = None) -> None:
    """Make a claim that waits for long; no pass runs."""
    claim = plane.claim_of(name, builders.allocate(epsilon, timeout_ms=NEVER_MS))
    plane.store.create(replace(claim, spec=replace(claim.spec, deadline_ms=deadline_ms)))


def state(plane: Plane, name: str) -> ClaimState:
    return summary.state(plane.claim(name))


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_of_equal_claims_the_one_with_the_earliest_deadline_is_granted(plane: Plane, order: str) -> None:
    plane.order = order
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    for name, deadline_ms in (("none", None), ("late", 90_000), ("soon", 50_000)):
        ask(plane, name, 0.6, deadline_ms)
    waiting = [plane.claim(name) for name in ("none", "late", "soon")]
    plane.run()
    assert [state(plane, claim.meta.name) for claim in waiting] == [
        ClaimState.WAITING,
        ClaimState.WAITING,
        ClaimState.ACQUIRED,
    ]
    left = [plane.claim(name) for name in ("none", "late")]
    assert positions.positions(left, plane.blocks(), plane.policy) == {"ns/late": 1, "ns/none": 2}


def test_a_claim_that_waits_is_refused_at_its_deadline_and_charged_nothing(plane: Plane) -> None:
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    ask(plane, "first", 0.7)
    ask(plane, "c", 0.8, 10_000)
    plane.clock.time_ms = 9_999
    plane.run()
    assert state(plane, "c") is ClaimState.WAITING
    due_seconds = next_due.seconds_until(plane.store, plane.policy, now_ms=plane.clock.now_ms())
    assert due_seconds <= 0.01, "the controller wakes up for it"
    plane.clock.time_ms = 10_000
    plane.run()
    refusal = plane.claim("c").status.responses[0].refusal
    assert refusal is not None
    assert (refusal.reason, str(refusal)) == (RefusalReason.DEADLINE_PASSED, PASSED)
    assert plane.claim("c").status.reserved == {}
    assert set(plane.status("b").acquired) == {"ns/first"}
    assert plane.status("b").reserved == {}
    assert plane.store.ledger() == []
    plane.require_sound()
    plane.require_settled()


def test_a_claim_that_comes_after_its_deadline_is_refused_and_unlocks_nothing(plane: Plane) -> None:
    plane.unlock = "n=10"
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    plane.clock.time_ms = 10_000
    ask(plane, "c", 0.1, 10_000)
    plane.run()
    response = plane.claim("c").status.responses[0]
    assert str(response.refusal) == PASSED
    assert not isinstance(response.detail, AllocateResponse)
    assert plane.status("b").available == EpsilonDelta(0.0, 0.0)
    plane.append("c", builders.allocate(0.1))
    plane.run()
    assert str(plane.claim("c").status.responses[1].refusal) == PASSED


def test_budget_that_was_granted_before_the_deadline_is_held_and_paid_after_it(plane: Plane) -> None:
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    ask(plane, "c", 0.5, 10_000)
    plane.run()
    plane.clock.time_ms = 20_000
    plane.run()
    assert state(plane, "c") is ClaimState.ACQUIRED
    plane.append("c", ConsumeRequest.all_or_nothing(dict(plane.claim("c").status.acquired)))
    plane.run()
    assert state(plane, "c") is ClaimState.CONSUMED


def test_a_claim_that_has_both_timed_out_and_missed_its_deadline_is_told_of_the_deadline(plane: Plane) -> None:
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    ask(plane, "first", 0.7)
    claim = plane.claim_of("c", builders.allocate(0.8, timeout_ms=1000))
    plane.store.create(replace(claim, spec=replace(claim.spec, deadline_ms=10_000)))
    plane.run()
    plane.clock.time_ms = 60_000
    plane.run()
    assert str(plane.claim("c").status.responses[0].refusal) == PASSED


def test_a_deadline_is_read_again_from_a_file(tmp_path: Path) -> None:
    clock = FakeClock()
    plane = Plane(SqliteStore(tmp_path / "state.db", clock=clock), clock=clock)
    ask(plane, "c", 0.5, 10_000)
    plane.store.close()
    assert Plane(SqliteStore(tmp_path / "state.db", clock=clock)).claim("c").spec.deadline_ms == 10_000


def client_of(*, unlock: str = "all") -> tuple[BudgetClient, FakeClock]:
    clock = FakeClock()
    client = BudgetClient(MemoryStore(clock), clock=clock)
    client.set_policy(unlock=unlock)
    client.create_blocks([builders.block("b", EpsilonDelta(1.0, 1e-6))])
    return client, clock


def make(client: BudgetClient, name: str, request: AllocateRequest, deadline_ms: int | None) -> PrivacyBudgetClaim:
    claim = Plane.claim_of(name, request)
    client.store.create(replace(claim, spec=replace(claim.spec, deadline_ms=deadline_ms)))
    client.passes.current(lambda: None)
    return client.get_claim(f"ns/{name}")


def test_a_client_is_told_before_anything_is_written_that_the_deadline_has_passed() -> None:
    client, clock = client_of()
    clock.time_ms = 10_000
    with pytest.raises(errors.DeadlineExceeded, match=rf"claim ns/c: {PASSED}; state a later one in another claim"):
        client.allocate("ns", "c", builders.allocate(0.1), timeout_seconds=1, deadline=format_time(10_000))
    assert client.list_claims() == []
    with pytest.raises(errors.InvalidInput, match="deadline: 'soon' is not an RFC 3339 time"):
        client.allocate("ns", "c", builders.allocate(0.1), timeout_seconds=1, deadline="soon")
    claim = client.allocate("ns", "c", builders.allocate(0.1), timeout_seconds=1, deadline="1970-01-01T01:00:11+01:00")
    assert claim.spec.deadline_ms == 11_000


def test_explain_says_when_the_deadline_is_and_that_no_unlocking_comes_before_it() -> None:
    client, _ = client_of(unlock="t=10s,100s")
    soon = make(client, "soon", builders.allocate(0.5, timeout_ms=NEVER_MS), 30_000)
    late = make(client, "late", builders.allocate(0.5, timeout_ms=NEVER_MS), 90_000)
    explained = forecast.explain_claim(client, soon)
    words = "\n".join(text.explanation(soon, summary.state(soon), explained))
    assert "when: not by unlocking before its deadline" in words
    assert "deadline: 1970-01-01T00:00:30Z, from then on it is refused" in words
    assert explained is not None
    assert text.to_json(explained)["deadline"] == "1970-01-01T00:00:30Z"
    explained = forecast.explain_claim(client, late)
    assert explained is not None
    assert explained.granted_at_ms is not None
    assert explained.granted_at_ms < 90_000


def test_plan_says_that_a_passed_deadline_refuses_and_forecasts_nothing_new_without_one() -> None:
    client, clock = client_of()
    clock.time_ms = 10_000
    planned = forecast.forecast_request(client, "ns", builders.allocate(0.5), deadline_ms=10_000)
    assert next(iter(text.lines(planned))) == f"would be refused: {PASSED}"
    assert "deadline" not in text.to_json(forecast.forecast_request(client, "ns", builders.allocate(2.0)))
