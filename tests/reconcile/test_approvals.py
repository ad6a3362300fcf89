"""Claims beyond a threshold wait for an approval by somebody else, and no trick of a claimant replaces it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.controller import status_events
from privatekube.forecast import forecast, text
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources import approval, ledger, summary
from privatekube.resources.approval import Decision, PrivacyBudgetApproval
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.decision_entry import DecisionEntry
from privatekube.resources.ledger import Entry
from privatekube.resources.meta import CREATED_BY, ObjectMeta
from privatekube.resources.quota import Beyond, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, ConsumeRequest
from privatekube.resources.summary import ClaimState
from privatekube.resources.wire import approvals, claims
from privatekube.store.base import ResourceStore
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

WAITS = ClaimState.AWAITS_APPROVAL


def threshold(share: float = 0.3, name: str = "big", team: str | None = "ads") -> PrivacyBudgetQuota:
    spec = QuotaSpec("d", team=team, share=share, beyond=Beyond.APPROVAL)
    return PrivacyBudgetQuota(ObjectMeta(name, "ns"), spec)


@pytest.fixture(params=["memory", "sqlite"])
def plane(request: pytest.FixtureRequest, tmp_path: Path) -> Plane:
    clock = FakeClock()
    store = MemoryStore(clock) if request.param == "memory" else SqliteStore(tmp_path / "state.db", clock=clock)
    plane = Plane(store, clock=clock)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    plane.store.put_quota(threshold())
    return plane


def ask(plane: Plane, name: str, epsilon: float, *, user: str = "ann", team: str = "ads") -> ClaimState:
    """Make a claim of a user, and return its state."""
    claim = plane.claim_of(name, builders.allocate(epsilon))
    plane.store.create(replace(claim, spec=replace(claim.spec, requester=Requester(user, team, "a test"))))
    plane.run()
    return state(plane, name)


def state(plane: Plane, name: str) -> ClaimState:
    return summary.state(plane.claim(name))


def decision(
    about: PrivacyBudgetClaim, decided: Decision = Decision.APPROVED, /, **given: object
) -> PrivacyBudgetApproval:
    """Return what bob decides about a claim; `given` replaces fields of it."""
    fields: dict[str, object] = {
        "claim": about.meta.name,
        "claim_uid": about.meta.uid,
        "request": 0,
        "demand": approvals.demand_digest(about, 0),
        "requested_by": approval.creator(about),
        "approver": "bob",
        "reason": "the board agreed",
        **given,
    }
    spec = approval.ApprovalSpec(decision=decided, **fields)  # type: ignore[arg-type]  # as tests name them
    name = f"{about.meta.name}-{len(given)}-{sum(map(ord, repr(given)))}"
    return PrivacyBudgetApproval(ObjectMeta(name, "ns"), spec)


def approve(plane: Plane, name: str, decided: Decision = Decision.APPROVED, /, **given: object) -> ClaimState:
    plane.store.add_approval(decision(plane.claim(name), decided, **given))
    plane.run()
    return state(plane, name)


def test_a_claim_beyond_a_threshold_is_granted_once_somebody_approves_it_and_the_ledger_says_who(plane: Plane) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    assert ask(plane, "small", 0.2) is ClaimState.ACQUIRED  # it is not held up
    assert approve(plane, "1") is ClaimState.ACQUIRED
    plane.append("1", ConsumeRequest.all_or_nothing(dict(plane.claim("1").status.acquired)))
    plane.clock.time_ms += 1000
    plane.run()
    decided, entry = plane.store.ledger(claim_id="ns/1")
    assert isinstance(entry, Entry)
    (record,) = entry.approvals
    assert (decided.reason, decided.requester) == ("approved", Requester("ann", "ads", "a test"))
    assert (str(record), record.time_ms) == ("bob: the board agreed", plane.clock.time_ms - 1000)
    plane.require_sound()
    plane.require_settled()


def test_a_split_claim_a_recreated_one_and_a_changed_threshold_need_the_approval_all_the_same(plane: Plane) -> None:
    assert [ask(plane, name, 0.2) for name in ("1", "2", "3")] == [ClaimState.ACQUIRED, WAITS, WAITS]
    plane.store.delete(plane.claim("1"))
    assert ask(plane, "1", 0.2) is WAITS
    plane.store.delete_quota("ns/big")
    plane.store.put_quota(threshold(name="again"))
    plane.run()
    assert state(plane, "1") is WAITS
    assert ask(plane, "other", 0.2, user="eve") is WAITS  # of the same team
    assert approve(plane, "1") is ClaimState.ACQUIRED


def test_an_approval_is_of_one_claim_and_one_demand_and_by_somebody_else(plane: Plane) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    first = decision(plane.claim("1"))
    plane.store.delete(plane.claim("1"))
    assert ask(plane, "1", 0.4) is WAITS
    plane.store.add_approval(first)
    plane.run()
    assert state(plane, "1") is WAITS, "of an earlier claim of its name"
    assert ask(plane, "2", 0.4) is WAITS
    other = decision(plane.claim("2")).spec
    for given in (
        {"claim_uid": other.claim_uid},
        {"claim": "2"},
        {"demand": f"sha256:{1:064x}"},
        {"request": 1},
        {"requested_by": "eve"},  # so that ann could approve it
        {"requested_by": "eve", "approver": "ann"},
    ):
        assert approve(plane, "1", **given) is WAITS, given
    elsewhere = decision(plane.claim("1"))
    plane.store.add_approval(replace(elsewhere, meta=ObjectMeta("x", "other")))
    plane.run()
    assert state(plane, "1") is WAITS, "an approval of another namespace"
    with pytest.raises(errors.InvalidInput, match="approver: 'ann' requested the claim"):
        decision(plane.claim("1"), approver="ann")
    assert approve(plane, "1", reason=None) is ClaimState.ACQUIRED


def test_a_claim_whose_creator_is_not_known_or_is_another_one_than_it_says_is_not_approved(plane: Plane) -> None:
    claim = plane.claim_of("1", builders.allocate(0.4))
    annotated = replace(claim.meta, annotations={CREATED_BY: "bob"})
    plane.store.create(replace(claim, meta=annotated, spec=replace(claim.spec, requester=Requester("ann", "ads"))))
    unknown = plane.claim_of("2", builders.allocate(0.4))
    plane.store.create(replace(unknown, spec=replace(unknown.spec, requester=Requester(team="ads"))))
    plane.run()
    assert approve(plane, "1", requested_by="ann") is WAITS
    assert approve(plane, "2", requested_by="ann") is WAITS


def test_a_rejection_ends_a_claim_whatever_others_approve_and_only_one_that_waits_for_approval(plane: Plane) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    plane.store.add_approval(decision(plane.claim("1"), approver="eve"))
    assert approve(plane, "1", Decision.REJECTED) is ClaimState.FAILURE
    assert str(plane.claim("1").status.responses[0].refusal) == "rejected: by bob: the board agreed"
    plane.store.delete_quota("ns/big")
    assert ask(plane, "all", 0.9) is ClaimState.ACQUIRED
    assert ask(plane, "2", 0.4) is ClaimState.WAITING
    plane.store.put_quota(PrivacyBudgetQuota(ObjectMeta("hard", "ns"), QuotaSpec("d", team="ads", share=1.0)))
    plane.store.put_quota(threshold(team="fraud"))
    assert approve(plane, "2", Decision.REJECTED) is ClaimState.WAITING


def test_a_rejection_is_entered_in_the_ledger_once_and_commits_nothing(plane: Plane) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    demand = approvals.demand_digest(plane.claim("1"), 0)
    assert approve(plane, "1", Decision.REJECTED) is ClaimState.FAILURE
    plane.run()
    (entry,) = plane.store.ledger()
    assert isinstance(entry, DecisionEntry)
    assert (entry.words, entry.claim, entry.dataset) == ("rejected by bob: the board agreed", "ns/1", "d")
    assert (entry.claim_uid, entry.request.index, entry.demand) == (plane.claim("1").meta.uid, 0, demand)
    assert entry.requester == Requester("ann", "ads", "a test")
    assert ledger.from_json(entry.to_json(), entry.digest) == entry
    assert not plane.status("b").committed
    assert ledger_audit.verify(plane.store) == ledger_audit.Audit(1, 0, entry.digest)
    plane.require_sound()


@pytest.mark.parametrize("decided", Decision)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("n_writes", range(1, 5))
def test_a_process_that_dies_while_it_takes_a_decision_enters_it_once_and_the_next_one_answers(
    decided: Decision, after: bool, n_writes: int
) -> None:
    clock = FakeClock()
    store = CrashingStore(MemoryStore(clock))
    plane = Plane(cast("ResourceStore", store), clock=clock)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    plane.store.put_quota(threshold())
    assert ask(plane, "1", 0.4) is WAITS
    plane.store.add_approval(decision(plane.claim("1"), decided))
    store.arm(n_writes, after=after)
    with contextlib.suppress(CrashError):
        plane.run()
    store.arm(None)
    clock.time_ms += 1000
    plane.run()
    is_approved = decided is Decision.APPROVED
    assert state(plane, "1") is (ClaimState.ACQUIRED if is_approved else ClaimState.FAILURE)
    assert [entry.reason for entry in plane.store.ledger()] == [str(decided)]
    plane.require_sound()


@pytest.mark.parametrize("plane", ["memory"], indirect=True)
def test_an_amount_that_pretends_to_be_a_decision_breaks_the_chain(plane: Plane) -> None:
    assert ask(plane, "1", 0.2) is ClaimState.ACQUIRED
    plane.append("1", ConsumeRequest.all_or_nothing(dict(plane.claim("1").status.acquired)))
    plane.run()
    (entry,) = plane.store.ledger()
    false = {**entry.to_json(), "reason": "approved", "demand": "sha256:1", "decision": {"approver": "bob"}}
    with pytest.raises(errors.CorruptData, match="entry 1 does not follow"):
        list(ledger.require_chain([ledger.from_json(false, entry.digest)]))


def test_a_claim_that_waits_for_approval_times_out_in_words_and_waits_no_more_if_the_threshold_is_raised(
    plane: Plane,
) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    plane.store.put_quota(threshold(0.45))
    plane.run()
    assert state(plane, "1") is ClaimState.ACQUIRED
    assert ask(plane, "2", 0.4) is WAITS
    plane.clock.time_ms += 6000
    plane.run()
    assert "timeout: quota ns/big: team ads may have 0.45" in str(plane.claim("2").status.responses[0].refusal)
    assert "without an approval" in str(plane.claim("2").status.responses[0].refusal)
    assert approve(plane, "2") is ClaimState.FAILURE


def test_an_approval_goes_beyond_no_quota_and_no_budget(plane: Plane) -> None:
    plane.store.put_quota(PrivacyBudgetQuota(ObjectMeta("hard", "ns"), QuotaSpec("d", team="ads", share=0.5)))
    assert ask(plane, "1", 0.6) is WAITS
    assert approve(plane, "1") is ClaimState.WAITING
    plane.store.delete_quota("ns/hard")
    plane.store.delete_quota("ns/big")  # an approval that was given counts, whatever the threshold is then
    plane.store.put_quota(threshold(0.0))
    plane.run()
    assert state(plane, "1") is ClaimState.ACQUIRED


def test_a_request_that_is_appended_needs_an_approval_of_its_own(plane: Plane) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    assert approve(plane, "1") is ClaimState.ACQUIRED
    plane.append("1", builders.allocate(0.4))
    plane.run()
    assert plane.states("1") == ["success", "pending"]
    assert plane.claim("1").awaits_approval


def test_the_answer_is_read_as_it_was_written_and_an_event_tells_who_must_act(plane: Plane) -> None:
    assert ask(plane, "1", 0.4) is WAITS
    waiting = plane.claim("1")
    plane.store.put_quota(PrivacyBudgetQuota(ObjectMeta("hard", "ns"), QuotaSpec("d", team="ads", share=0.1)))
    approve(plane, "1")
    approved = plane.claim("1")
    for claim in (waiting, approved):
        assert claims.from_store(claims.to_wire(claim)) == replace(
            claim, meta=claims.from_store(claims.to_wire(claim)).meta
        )
    (told,) = [event.reason for event in status_events.between(None, waiting) if event.reason != status_events.WAITING]
    assert told == "WaitsForApproval"
    assert [event.message for event in status_events.between(waiting, approved)] == [
        "approved by bob: the board agreed"
    ]
    assert waiting.status.conditions[0].reason == "WaitsForApproval"


def client_with_claim(user: str = "ann") -> tuple[BudgetClient, AllocateRequest]:
    """Return a client of a store with a claim of a user that waits for an approval."""
    client = BudgetClient(MemoryStore())
    client.create_blocks([builders.block("b", EpsilonDelta(1.0, 1e-6))])
    client.set_quota(threshold())
    request = builders.allocate(0.4)
    claim = Plane.claim_of("1", request)
    client.store.create(replace(claim, spec=replace(claim.spec, requester=Requester(user, "ads"))))
    client.passes.current(lambda: None)
    return client, request


def test_plan_and_explain_say_beforehand_that_a_claim_needs_an_approval() -> None:
    client, request = client_with_claim()
    planned = forecast.forecast_request(client, "ns", request, Requester(team="ads"))
    assert next(iter(text.lines(planned))) == "would wait for an approval"
    assert text.to_json(planned)["needsApproval"] is True
    assert "needsApproval" not in text.to_json(
        forecast.forecast_request(client, "ns", builders.allocate(0.1), Requester(team="ads"))
    )
    claim = client.get_claim("ns/1")
    words = "\n".join(text.explanation(claim, summary.state(claim), forecast.explain_claim(client, claim)))
    assert words.startswith("claim ns/1: waits for approval\nquota ns/big: team ads may have 0.3")
    assert "once somebody else with the role privatekube-approver approves it: privatekube approve CLAIM" in words


def test_a_user_approves_the_claim_of_somebody_else_once_and_nobody_their_own() -> None:
    client, _ = client_with_claim()
    with pytest.raises(errors.InvalidInput, match="reason: 'a\\\\nb' has a character that is not plain text"):
        client.approve("ns/1", reason="a\nb")
    assert summary.state(client.approve("ns/1", reason="agreed")) is ClaimState.ACQUIRED
    with pytest.raises(errors.InvalidInput, match="claim ns/1: waits for no approval"):
        client.reject("ns/1")
    own, _ = client_with_claim(client.store.user())
    with pytest.raises(errors.InvalidInput, match=r"requests it, so .* cannot decide about it"):
        own.approve("ns/1")
    other, _ = client_with_claim()
    assert summary.state(other.reject("ns/1", reason="too much")) is ClaimState.FAILURE
    twice, _ = client_with_claim()
    twice.set_quota(PrivacyBudgetQuota(ObjectMeta("hard", "ns"), QuotaSpec("d", team="ads", share=0.1)))
    twice.approve("ns/1")
    with pytest.raises(errors.InvalidInput, match="waits for no approval"):
        twice.approve("ns/1")
