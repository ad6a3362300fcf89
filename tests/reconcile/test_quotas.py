"""Quotas of teams and namespaces: nobody gets around them by another name, a split, or a claim that was deleted."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.forecast import forecast, text
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import Period, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, ConsumeRequest, ReleaseRequest
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.harness import Plane

MONTH_MS = 31 * 86_400_000


def quota(team: str | None = "ads", name: str = "q", **given: object) -> PrivacyBudgetQuota:
    fields = {"dataset": "d", "team": team, "share": 0.5, **given}
    return PrivacyBudgetQuota(ObjectMeta(name, "ns"), QuotaSpec(**fields))  # type: ignore[arg-type]  # as tests name them


@pytest.fixture(params=["memory", "sqlite"])
def plane(request: pytest.FixtureRequest, tmp_path: Path) -> Plane:
    clock = FakeClock()
    store = MemoryStore(clock) if request.param == "memory" else SqliteStore(tmp_path / "state.db", clock=clock)
    plane = Plane(store, clock=clock)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    return plane


def ask(plane: Plane, name: str, request: AllocateRequest, *, team: str | None = "ads") -> list[str]:
    """Make a claim for a team, and return the states of its answers."""
    create(plane, name, request, team=team)
    plane.run()
    return plane.states(name)


def create(plane: Plane, name: str, request: AllocateRequest, *, team: str | None = "ads") -> None:
    claim = plane.claim_of(name, request)
    plane.store.create(replace(claim, spec=replace(claim.spec, requester=Requester("ann", team, "a test"))))


def pay(plane: Plane, name: str) -> None:
    held = dict(plane.claim(name).status.acquired)
    plane.append(name, ConsumeRequest.all_or_nothing(held))
    plane.run()
    assert not plane.claim(name).status.acquired


def test_split_claims_of_a_team_get_together_no_more_than_one_and_others_are_not_held_up(plane: Plane) -> None:
    plane.store.put_quota(quota())
    plane.store.put_quota(quota("fraud", "other", share=0.3))
    for name in ("1", "2", "3"):
        create(plane, name, builders.allocate(0.25))
    plane.run()  # all three are decided at once
    assert [plane.states(name) for name in ("1", "2", "3")] == [["success"], ["success"], ["pending"]]
    assert ask(plane, "4", builders.allocate(0.2), team="fraud") == ["success"]
    pay(plane, "1")
    assert plane.states("3") == ["pending"]
    plane.store.put_quota(quota(share=0.75))
    plane.run()
    assert plane.states("3") == ["success"]
    plane.require_sound()


def test_a_quota_that_was_lowered_or_removed_and_set_again_counts_what_was_committed_before(plane: Plane) -> None:
    assert ask(plane, "1", builders.allocate(0.4)) == ["success"]
    pay(plane, "1")
    plane.store.delete(plane.claim("1"))
    plane.store.put_quota(quota(share=0.3))
    assert ask(plane, "1", builders.allocate(0.1)) == ["pending"]
    plane.store.delete_quota("ns/q")
    plane.store.put_quota(quota(share=0.5, name="again"))
    plane.run()
    assert plane.states("1") == ["success"]
    assert ask(plane, "2", builders.allocate(0.01)) == ["pending"]


def test_what_a_deleted_claim_held_counts_for_every_team_whatever_a_new_one_of_its_name_says(plane: Plane) -> None:
    plane.store.put_quota(quota())
    plane.store.put_quota(quota("fraud", "other"))
    assert ask(plane, "1", builders.allocate(0.4)) == ["success"]
    plane.store.delete(plane.claim("1"))
    assert ask(plane, "1", builders.allocate(0.2), team="fraud") == ["pending"]
    assert ask(plane, "2", builders.allocate(0.2)) == ["pending"]
    assert ask(plane, "3", builders.allocate(0.1)) == ["success"]


@pytest.mark.parametrize(("team", "fault"), [(None, "is not stated"), ("none", "none has no quota")])
def test_no_other_name_gets_around_quotas_of_teams(plane: Plane, team: str | None, fault: str) -> None:
    plane.store.put_quota(quota())
    assert ask(plane, "1", builders.allocate(0.1), team=team) == ["failure"]
    assert str(plane.claim("1").status.responses[0].refusal) == (
        f"team: {fault}; d is for the teams ads: claim for one of them, or ask its owner"
    )


def test_a_claim_that_waits_when_quotas_of_teams_are_set_gets_nothing_without_a_team(plane: Plane) -> None:
    assert ask(plane, "all", builders.allocate(1.0), team="ads") == ["success"]
    assert ask(plane, "unnamed", builders.allocate(0.1), team=None) == ["pending"]
    plane.store.put_quota(quota(share=1.0))
    plane.append("all", ReleaseRequest(dict(plane.claim("all").status.acquired)))
    plane.run()
    assert plane.states("unnamed") == ["pending"]
    plane.store.delete_quota("ns/q")
    plane.run()
    assert plane.states("unnamed") == ["success"]


def test_a_monthly_quota_is_free_again_in_the_next_month_except_for_what_is_held(plane: Plane) -> None:
    plane.store.put_quota(quota(period=Period.MONTH))
    assert ask(plane, "1", builders.allocate(0.4)) == ["success"]
    assert ask(plane, "2", builders.allocate(0.4)) == ["pending"]
    pay(plane, "1")
    assert plane.states("2") == ["pending"]
    assert ask(plane, "held", builders.allocate(0.1)) == ["success"]
    plane.longest_timeout_ms = plane.settle_within_ms = 2 * MONTH_MS
    plane.clock.time_ms += MONTH_MS
    assert ask(plane, "3", builders.allocate(0.5)) == ["pending"]
    assert ask(plane, "4", builders.allocate(0.4)) == ["success"]


def test_a_quota_of_a_namespace_limits_all_its_claims_together_whatever_their_team(plane: Plane) -> None:
    plane.store.put_quota(quota(None))
    assert ask(plane, "1", builders.allocate(0.3), team="a") == ["success"]
    assert ask(plane, "2", builders.allocate(0.3), team=None) == ["pending"]
    assert ask(plane, "3", builders.allocate(0.2), team=None) == ["success"]


def test_a_claim_on_some_blocks_gets_those_on_which_its_team_has_quota_left(plane: Plane) -> None:
    plane.block("c", EpsilonDelta(1.0, 1e-6))
    plane.store.put_quota(quota())
    demand = replace(builders.allocate(0.4), max_blocks=1)
    assert ask(plane, "1", demand) == ["success"]
    assert ask(plane, "2", demand) == ["success"]
    assert plane.claim("1").status.acquired.keys() != plane.claim("2").status.acquired.keys()
    assert ask(plane, "3", demand) == ["pending"]


def test_a_quota_in_epsilon_holds_on_renyi_blocks_at_one_order_at_least() -> None:
    whole = builders.curve(4.0, 6.0, 8.0)
    allowed = QuotaSpec("d", epsilon=3.0, delta=1e-2).of(whole)
    assert allowed.orders == whole.orders
    assert max(allowed.values) > 0
    assert QuotaSpec("d", epsilon=1e-9).of(whole) == whole * 0.0


def test_a_refusal_by_time_plan_and_explain_name_the_quota_and_what_of_it_is_used() -> None:
    with BudgetClient(MemoryStore()) as client:
        client.create_blocks([builders.block("b", EpsilonDelta(1.0, 1e-6))])
        client.set_quota(quota())
        client.allocate("ns", "1", builders.allocate(0.4), timeout_seconds=5, team="ads")
        ads = Requester(team="ads")
        assert forecast.forecast_request(client, "ns", builders.allocate(0.1), ads).granted
        waits = forecast.forecast_request(client, "ns", builders.allocate(0.2), ads)
        expected = (
            "quota ns/q: team ads may have 0.5 of the budget of each block of d for its lifetime; "
            "epsilon 0.4, delta 0 is committed or held on ns/b"
        )
        assert waits.quotas == (expected,)
        assert waits.fitting_share == pytest.approx(0.5, rel=1e-3)
        words = list(text.lines(waits))
        assert words[:2] == ["would wait", expected]
        assert "exceeds an equal share" not in "".join(words)
        assert "team: is not stated" in str(forecast.forecast_request(client, "ns", builders.allocate(0.1)).refusal)
        with pytest.raises(errors.DeadlineExceeded):
            client.allocate("ns", "2", builders.allocate(0.2), timeout_seconds=0.01, team="ads")
        assert str(client.get_claim("ns/2").status.responses[0].refusal) == f"timeout: {expected}"


def test_a_quota_that_cannot_be_read_allows_nothing_in_its_namespace(tmp_path: Path) -> None:
    plane = Plane(SqliteStore(tmp_path / "state.db"))
    plane.block("b")
    numbers = [f"1{'0' * 400}", f"1{'0' * 5000}", "NaN", "1e400", "-Infinity"]
    specs = [
        '"share": "much"',
        '"shares": 1',
        *(f'"share": 1, "team": "ads", "weight": {number}' for number in numbers),
    ]
    for body in ("{", "[]", *(f'{{"spec": {{"dataset": "d", {spec}}}}}' for spec in specs)):
        with sqlite3.connect(tmp_path / "state.db") as db:
            db.execute("INSERT OR REPLACE INTO quotas VALUES ('ns/q', ?)", [body])
        (item,) = plane.store.list_quotas()
        assert item.fault is not None
        assert item.fault.startswith("cannot be read (")
    assert ask(plane, "1", builders.allocate(0.01)) == ["pending"]
    plane.store.delete_quota("ns/q")
    plane.run()
    assert plane.states("1") == ["success"]
    with pytest.raises(errors.NotFound, match="quota ns/q: does not exist"):
        plane.store.delete_quota("ns/q")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"share": 1.5}, "share: 1.5 must be 0 to 1"),
        ({"share": float("nan")}, "share: nan must be 0 to 1"),
        ({"share": None}, "quota: give either share or epsilon"),
        ({"epsilon": 1.0}, "quota: give either share or epsilon"),
        ({"share": None, "epsilon": -1.0}, "epsilon: -1.0 must be finite"),
        ({"team": "a b"}, "team: 'a b' must be 1 to 63 letters"),
        ({"delta": 0.0}, "delta: 0.0 must lie in"),
    ],
)
def test_a_quota_out_of_bounds_is_refused_in_one_line(given: dict[str, object], fault: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        quota(**given)  # type: ignore[arg-type]  # it is wrong on purpose
    assert str(refused.value).startswith(fault)
