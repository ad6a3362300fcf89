"""What a write of status means to people: the Events of blocks and claims, and what metrics count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from privatekube.reconcile import overdue_claims
from privatekube.resources import conditions, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest, ConsumeRequest
from privatekube.resources.responses import AllocateResponse, Response, ResponseState
from privatekube.store.base import Resource

ADMITTED, NOT_ADMITTED, EXHAUSTED = "Admitted", "NotAdmitted", "Exhausted"
GRANTED, WAITING, CONSUMED, RELEASED, FAILED = "Granted", "Waiting", "Consumed", "Released", "Failed"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened: a reason in one word, a message, and whether somebody should look at it."""

    reason: str
    message: str
    is_warning: bool = False


def of(before: Resource | None, after: Resource) -> Iterator[Happening]:
    """What happened between two versions of an object; `before` is None where it was not seen before."""
    if isinstance(after, PrivateDataBlock):
        yield from _of_block(before if isinstance(before, PrivateDataBlock) else None, after)
    else:
        known = before.status.responses if isinstance(before, PrivacyBudgetClaim) else ()
        for index, response in enumerate(after.status.responses):
            if index >= len(known) or known[index].state is not response.state:
                yield _of_response(after, index, response)


def _of_block(before: PrivateDataBlock | None, after: PrivateDataBlock) -> Iterator[Happening]:
    if before is None or before.status is None:
        yield Happening(ADMITTED, f"its budget is {summary.short(after.spec.initial_budget)}")
    if _is_exhausted(after) and not (before and _is_exhausted(before)):
        yield Happening(EXHAUSTED, "all of its budget is granted or committed", is_warning=True)


def _is_exhausted(block: PrivateDataBlock) -> bool:
    found = () if block.status is None else block.status.conditions
    return any(each.type == conditions.EXHAUSTED and each.status for each in found)


def _of_response(claim: PrivacyBudgetClaim, index: int, response: Response) -> Happening:
    request = claim.spec.requests[index]
    if response.state is ResponseState.FAILURE:
        is_allocation = isinstance(request.action, AllocateRequest)
        reason = conditions.refusal(response.error or "") if is_allocation else FAILED
        return Happening(reason, response.error or "", is_warning=True)
    if isinstance(response.detail, AllocateResponse):
        blocks = len(response.detail.budgets)
        if response.state is ResponseState.PENDING:
            return Happening(WAITING, f"waits for {summary.demand(claim)} on {blocks} blocks")
        return Happening(GRANTED, f"granted {summary.demand(claim)} on {blocks} blocks")
    why = "; its time to settle was over" if request.identifier == overdue_claims.IDENTIFIER else ""
    if isinstance(request.action, ConsumeRequest):
        return Happening(CONSUMED, f"committed for good on {len(request.action.consume)} blocks{why}")
    return Happening(RELEASED, f"gave its budget back{why}")
