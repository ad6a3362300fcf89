"""Answer the requests of claims, in order, up to the first that waits."""

from __future__ import annotations

from privatekube.engine import allocate_requests, consume_release, register_releases
from privatekube.engine.draft import Draft
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.requests import (
    AllocateRequest,
    ConsumeRequest,
    MalformedRequest,
    RegisterRequest,
    ReleaseRequest,
    Request,
)
from privatekube.resources.responses import ResponseState
from privatekube.scheduling.policy import Policy

MOST_ANSWERS = 16
"""How many requests of one claim a pass answers: each may take several writes, and other claims wait for them."""


def answer_requests(draft: Draft, policy: Policy) -> bool:
    """Answer each claim's requests in order, up to the first that waits; return whether any was answered."""
    is_changed = False
    for claim_id in list(draft.open_claims):
        while (claim := draft.open_claims.get(claim_id)) is not None:
            current = claim.current_request
            if current is None or claim.response_at(current[0]) is not None:
                break
            if not draft.may_answer(claim_id, MOST_ANSWERS):
                break
            index, request = current
            is_changed = True
            with draft.isolated_claim(claim_id):
                _answer(draft, claim, index, request, policy)
    allocate_requests.unlock_unrecorded(draft, policy)
    return is_changed


def _answer(draft: Draft, claim: PrivacyBudgetClaim, index: int, request: Request, policy: Policy) -> None:
    match request.action:
        case AllocateRequest() as action:
            allocate_requests.accept(draft, claim, index, action, policy)
        case ConsumeRequest() as action:
            consume_release.consume(draft, claim, index, action)
        case ReleaseRequest() as action:
            consume_release.release(draft, claim, index, action)
        case RegisterRequest() as action:
            register_releases.register(draft, claim, index, action)
        case MalformedRequest() as action:
            draft.answer(claim, index, ResponseState.FAILURE, refusal=Refusal.of(action.fault))
