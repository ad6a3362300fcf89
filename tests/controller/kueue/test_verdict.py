"""Whether a claim admits a workload."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.controller.kueue import verdict
from privatekube.controller.kueue.verdict import Verdict
from privatekube.controller.kueue.workload import State, Workload
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import CREATED_BY
from privatekube.resources.requests import ConsumeRequest
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.reconcile.harness import Plane

RESERVED_MS, HOLD_SECONDS = 1_000_000, 60
LATER_MS = RESERVED_MS + 1000 * HOLD_SECONDS
WORKLOAD = Workload(
    name="w",
    namespace="ns",
    uid="1",
    version="7",
    claims=frozenset({"c"}),
    reserved_ms=RESERVED_MS,
    is_admitted=False,
    is_evicted=False,
    is_over=False,
    checks={},
)


@pytest.fixture
def plane() -> Plane:
    plane = Plane(MemoryStore())
    plane.block("b")
    return plane


def decide(
    claim: PrivacyBudgetClaim, *, now_ms: int = RESERVED_MS, creator: str = "system:serviceaccount:ns:trainer"
) -> Verdict:
    created = replace(claim, meta=replace(claim.meta, annotations={CREATED_BY: creator}))
    return verdict.of_claim(WORKLOAD, created, hold_seconds=HOLD_SECONDS, now_ms=now_ms)


def test_a_granted_claim_is_ready_however_long_it_took(plane: Plane) -> None:
    claim = plane.ask("c", builders.allocate())
    assert decide(claim, now_ms=LATER_MS) == Verdict(State.READY, "claim ns/c: is granted")


@pytest.mark.parametrize("creator", ["ann", "system:serviceaccount:elsewhere:trainer", ""])
def test_a_claim_that_the_pods_of_the_job_could_not_use_rejects(plane: Plane, creator: str) -> None:
    decided = decide(plane.ask("c", builders.allocate()), creator=creator)
    assert decided.state is State.REJECTED
    assert decided.message == (
        f"claim ns/c: belongs to {creator or 'a user who is not recorded'}, so the pods of a job cannot use it; "
        "create it as a service account of namespace ns"
    )


def test_a_claim_without_an_answer_waits() -> None:
    assert decide(builders.claim()) == Verdict(State.PENDING, "claim ns/c: is not answered yet")


def test_a_claim_that_waits_for_budget_gives_its_quota_back_after_a_while(plane: Plane) -> None:
    plane.ask("other", builders.allocate(0.9))
    claim = plane.ask("c", builders.allocate(0.5))
    message = "claim ns/c: waits for budget to be unlocked or released"
    assert decide(claim, now_ms=LATER_MS - 1) == Verdict(State.PENDING, message)
    assert decide(claim, now_ms=LATER_MS) == Verdict(State.RETRY, message, HOLD_SECONDS)


def test_a_claim_of_which_one_request_still_waits_is_not_ready(plane: Plane) -> None:
    claim = plane.ask("c", builders.allocate(0.5), builders.allocate(0.6))
    assert claim.holds_its_grant
    assert decide(claim).state is State.PENDING


def test_a_refused_claim_rejects_with_the_reason(plane: Plane) -> None:
    decided = decide(plane.ask("c", builders.allocate(blocks=3)))
    assert decided.state is State.REJECTED
    assert decided.message.startswith("claim ns/c: is not granted: ")


def test_a_claim_that_was_consumed_or_released_rejects(plane: Plane) -> None:
    consume = ConsumeRequest.all_or_nothing({"ns/b": EpsilonDelta(0.1)}, ("noise",))
    assert decide(plane.ask("paid", builders.allocate(), consume)).message == (
        "claim ns/paid: was consumed; create another claim, and a job that names it"
    )
    claim = plane.ask("c", builders.allocate())
    plane.store.update(replace(claim, spec=claim.spec.settle_at_once()))
    plane.clock.time_ms += 2000
    plane.run()
    decided = decide(plane.claim("c"))
    assert (decided.state, "holds no budget any more" in decided.message) == (State.REJECTED, True)


def test_a_claim_that_does_not_exist_yet_is_waited_for() -> None:
    decided = [verdict.without_claim(WORKLOAD, hold_seconds=60, now_ms=now_ms) for now_ms in (RESERVED_MS, LATER_MS)]
    assert [item.state for item in decided] == [State.PENDING, State.REJECTED]
    assert decided[0].message == (
        "claim ns/c: does not exist; create it, or correct the annotation privacy.columbia.github.com/claim"
    )


@pytest.mark.parametrize(("claims", "said"), [((), "names no claim"), (("d", "c"), "names 2 claims (c, d)")])
def test_anything_but_one_claim_is_rejected_at_once(claims: tuple[str, ...], said: str) -> None:
    workload = replace(WORKLOAD, claims=frozenset(claims))
    decided = verdict.without_claim(workload, hold_seconds=60, now_ms=RESERVED_MS)
    assert decided.state is State.REJECTED
    assert decided.message == (
        f"{said}; set the annotation privacy.columbia.github.com/claim of the pod template to the name of one claim"
    )


def test_a_message_fits_in_a_status() -> None:
    workload = replace(WORKLOAD, claims=frozenset({"x" * 100_000}))
    assert len(verdict.without_claim(workload, hold_seconds=60, now_ms=RESERVED_MS).message) == 1000
