"""Claim budget and wait until it is granted."""

from __future__ import annotations

from dataclasses import dataclass

from privatekube import errors, retries
from privatekube.client import stored
from privatekube.client.claim_writer import ClaimWriter
from privatekube.resources import matching, refusals, shortages
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.refusals import Refusal, RefusalReason
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import AllocateResponse, Response, ResponseState
from privatekube.scheduling.policy import LONGEST_TIMEOUT

_IDENTIFIER = "allocate"


@dataclass(frozen=True, slots=True)
class Allocation:
    """The claim of one run.

    Args:
        namespace: of the claim and its blocks.
        name: of the claim.
        request: what to claim, with its timeout.
        settle_after_seconds: how long after the last progress of its run the control plane settles it; None for the
            time that its policy allows after the grant, which is the latest in any case.
        requester: who claims it, and why.
        deadline_ms: when its results become useless, unix milliseconds; None for never.
    """

    namespace: str
    name: str
    request: AllocateRequest
    settle_after_seconds: int | None
    requester: Requester
    deadline_ms: int | None = None

    @property
    def claim_id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def allocate(claims: ClaimWriter, allocation: Allocation) -> PrivacyBudgetClaim:
    """Make a claim, wait until it is granted, and return it; see `BudgetClient.allocate`."""
    no_answer = claims.no_answer(allocation.claim_id)

    def read() -> PrivacyBudgetClaim:
        return _ensure_claim(claims, allocation)

    claim = read()
    if not _is_admitted(claim):
        patience_seconds = claims.patience_seconds(_n_blocks(claims, allocation))
        claim = retries.poll(read, _is_admitted, timeout_seconds=patience_seconds, error=no_answer)
    if not _is_decided(claim):
        claim = retries.poll(
            read,
            _is_decided,
            timeout_seconds=None,  # the control plane ends the wait: it answers once the request has timed out
            error=no_answer,
            pause_at_most=lambda claim: _seconds_left(claim, allocation.request, now_ms=claims.clock.now_ms()),
        )
    response = claim.status.responses[0]
    if response.state is ResponseState.FAILURE:
        raise _refusal(claims, allocation, response)
    return claim


def _n_blocks(claims: ClaimWriter, allocation: Allocation) -> int:
    """Return how many blocks the claim would get at most."""
    request, namespace = allocation.request, allocation.namespace
    if request.max_blocks is not None:
        return request.max_blocks
    return len(matching.candidates(request, namespace, claims.store.list_blocks(namespace)))


def _ensure_claim(claims: ClaimWriter, allocation: Allocation) -> PrivacyBudgetClaim:
    """Create the claim if it is missing and could be granted at some time; return it with its present answer."""
    with claims.store.transaction():
        claim = claims.store.get_claim(allocation.claim_id)
        if claim is None:
            claim = _create(claims, allocation)
        if not claim.was_made_for(allocation.request):
            raise errors.AlreadyExists(
                f"claim {claim.id}: exists with another request; start a run with another run id"
            )
        return claims.current(claim.id)


def _create(claims: ClaimWriter, allocation: Allocation) -> PrivacyBudgetClaim:
    """Create the claim, or return the one of the same name that another process has just created."""
    request = allocation.request
    shortages.require_possible(stored.matching_blocks(claims.store, allocation.namespace, request), request)
    spec = ClaimSpec(
        (Request(_IDENTIFIER, request),), requester=allocation.requester, deadline_ms=allocation.deadline_ms
    )
    now_ms = claims.clock.now_ms()
    missed_ms = spec.missed_deadline_ms(now_ms)
    if missed_ms is not None:
        raise _deadline_passed(allocation, refusals.deadline_passed(missed_ms))
    spec = spec.renew(now_ms=now_ms, seconds=allocation.settle_after_seconds)
    try:
        return claims.store.create(PrivacyBudgetClaim(ObjectMeta(allocation.name, allocation.namespace), spec))
    except errors.AlreadyExists:
        return claims.get(allocation.claim_id)


def _refusal(claims: ClaimWriter, allocation: Allocation, response: Response) -> errors.PrivateKubeError:
    """Return the error that says why the control plane refused the request."""
    if response.refusal is not None and response.refusal.reason is RefusalReason.DEADLINE_PASSED:
        return _deadline_passed(allocation, response.refusal)
    if response.refusal is None or response.refusal.reason is not RefusalReason.TIMED_OUT:
        return errors.InvalidInput(f"claim {allocation.claim_id}: {response.refusal}")
    request, namespace, policy = allocation.request, allocation.namespace, stored.policy_of(claims.store)
    waited_ms = policy.wait_ms(request.timeout_ms)
    is_cut = waited_ms < (request.timeout_ms or 0)
    if response.refusal.cause and not is_cut:
        return errors.DeadlineExceeded(
            f"claim {allocation.claim_id}: not granted within {waited_ms / 1000:g} s; {response.refusal.cause}"
        )
    bound, remedy = (f", the {LONGEST_TIMEOUT} of the policy", "ask again") if is_cut else ("", "wait longer")
    blocks = matching.candidates(request, namespace, claims.store.list_blocks(namespace))
    return errors.DeadlineExceeded(
        f"claim {allocation.claim_id}: not granted within {waited_ms / 1000:g} s{bound}; "
        f"{shortages.first_shortage(blocks, request)}; the policy {policy.unlocking.name} "
        f"unlocks it: {remedy}, request less, or change the policy"
    )


def _deadline_passed(allocation: Allocation, refusal: Refusal) -> errors.DeadlineExceeded:
    return errors.DeadlineExceeded(f"claim {allocation.claim_id}: {refusal}; state a later one in another claim")


def _is_admitted(claim: PrivacyBudgetClaim) -> bool:
    return bool(claim.status.responses)


def _is_decided(claim: PrivacyBudgetClaim) -> bool:
    return _is_admitted(claim) and claim.status.responses[0].state is not ResponseState.PENDING


def _seconds_left(claim: PrivacyBudgetClaim, request: AllocateRequest, *, now_ms: int) -> float:
    """Return how long a waiting request waits at most, with a margin so that the next pass sees the end."""
    detail = claim.status.responses[0].detail if claim.status.responses else None  # none if it was created again
    started_ms = detail.start_time_ms if isinstance(detail, AllocateResponse) else None
    if started_ms is None:
        return retries.STANDARD.longest_seconds
    end_ms, deadline_ms = started_ms + (request.timeout_ms or 0), claim.spec.deadline_ms
    return max(0.0, (min(end_ms, deadline_ms or end_ms) - now_ms) / 1000) + 0.01
