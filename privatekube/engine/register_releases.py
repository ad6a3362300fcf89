"""Register requests: a claim pays for one release of each step, and for no other.

A registration is accepted while the claim holds its grant. The first one of a step is final: the same one again is
answered as before, and another one is refused. Requests are answered in order, and an answer is one conditional write,
so neither a crash nor a second controller lets two releases of a step through.
"""

from __future__ import annotations

from privatekube.engine.draft import Draft
from privatekube.resources import refusals
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.requests import RegisterRequest
from privatekube.resources.responses import ConsumeResponse, RegisterResponse, ResponseState


def register(draft: Draft, claim: PrivacyBudgetClaim, index: int, request: RegisterRequest) -> None:
    """Accept the first release of a step, and the same one again; refuse another one, or one that is not paid for."""
    refusal = _refusal(claim, request)
    response_state = ResponseState.SUCCESS if refusal is None else ResponseState.FAILURE
    draft.answer(claim, index, response_state, refusal=refusal, detail=RegisterResponse(request.step))


def _refusal(claim: PrivacyBudgetClaim, request: RegisterRequest) -> Refusal | None:
    earlier = claim.releases.get(request.step)
    if earlier == request:
        return None
    if earlier is not None:
        return refusals.second_release(request.step)
    if _has_consumed(claim):
        return Refusal.of(f"{request.step} released nothing before the claim was consumed; start a new run")
    if not claim.holds_its_grant:
        return Refusal.of("the claim holds no budget, or not all it was granted; start a new run")
    if request.event is not None and not claim.spec.data_opened:
        return Refusal.of("its data was not marked as opened, so its budget could still be returned; mark it first")
    return None


def _has_consumed(claim: PrivacyBudgetClaim) -> bool:
    """Return whether a consume request has committed anything."""
    details = [response.detail for response in claim.status.responses]
    consumed = [detail for detail in details if isinstance(detail, ConsumeResponse)]
    return any(outcome.budget is not None for detail in consumed for outcome in detail.blocks.values())
