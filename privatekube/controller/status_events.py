"""The Events of blocks and claims that follow from a write of their status; the metrics count them, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from privatekube.resources import conditions, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import OverdueSettlement, PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.requests import AllocateRequest, ConsumeRequest
from privatekube.resources.responses import AllocateResponse, RegisterResponse, Response, ResponseState
from privatekube.store.base import Resource

ADMITTED, NOT_ADMITTED, EXHAUSTED, NEARLY_EXHAUSTED = "Admitted", "NotAdmitted", "Exhausted", "NearlyExhausted"
GRANTED, WAITING, CONSUMED, RELEASED = "Granted", "Waiting", "Consumed", "Released"
REGISTERED, FAILED, UNSIGNED, NO_PROGRESS = "Registered", "Failed", "Unsigned", "NoProgress"
APPROVED = "Approved"


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """Something that happened to a block or a claim.

    Args:
        reason: one word in CamelCase.
        message: a sentence without a full stop.
        is_warning: whether a person should look at it.
    """

    reason: str
    message: str
    is_warning: bool = False


def between(before: Resource | None, after: Resource) -> Iterator[StatusEvent]:
    """Yield what happened between two versions of an object; `before` is None for the first version."""
    if isinstance(after, PrivateDataBlock):
        yield from _of_block(before if isinstance(before, PrivateDataBlock) else None, after)
    else:
        known = before.status.responses if isinstance(before, PrivacyBudgetClaim) else ()
        for index, response in enumerate(after.status.responses):
            if index >= len(known) or known[index].state is not response.state:
                yield _of_response(after, index, response)
            yield from _of_approval(known[index] if index < len(known) else None, response)
        was_settled = isinstance(before, PrivacyBudgetClaim) and before.status.settlement is not None
        if after.status.settlement is not None and not was_settled:
            yield _of_settlement(after.status.settlement)


def _of_block(before: PrivateDataBlock | None, after: PrivateDataBlock) -> Iterator[StatusEvent]:
    if before is None or before.status is None:
        yield StatusEvent(ADMITTED, f"its budget is {after.spec.initial_budget}")
    was_exhausted = before is not None and conditions.is_true(before, conditions.EXHAUSTED)
    if conditions.is_true(after, conditions.EXHAUSTED) and not was_exhausted:
        yield StatusEvent(EXHAUSTED, "all of its budget is granted or committed", is_warning=True)
    nearly = conditions.of_type(after, conditions.NEARLY_EXHAUSTED)
    if nearly is not None and nearly.status and nearly.reason != _reason(before):
        yield StatusEvent(NEARLY_EXHAUSTED, nearly.message, is_warning=True)


def _reason(block: PrivateDataBlock | None) -> str | None:
    """Return why a block was nearly exhausted, or not: it tells which threshold it has reached."""
    condition = None if block is None else conditions.of_type(block, conditions.NEARLY_EXHAUSTED)
    return None if condition is None else condition.reason


def _of_settlement(settlement: OverdueSettlement) -> StatusEvent:
    blocks, cause = summary.number_of_blocks(len(settlement.budgets)), "its time to settle was over"
    if settlement.is_consumed:
        return StatusEvent(CONSUMED, f"committed permanently on {blocks}; {cause}")
    return StatusEvent(RELEASED, f"released its budget on {blocks}; {cause}")


def _of_approval(before: Response | None, after: Response) -> Iterator[StatusEvent]:
    detail, known = after.detail, None if before is None else before.detail
    if not isinstance(detail, AllocateResponse) or (known is not None and not isinstance(known, AllocateResponse)):
        return
    if detail.awaits_approval is not None and (known is None or known.awaits_approval is None):
        message = "beyond a threshold of its data owner: somebody else must approve it"
        yield StatusEvent(conditions.WAITS_FOR_APPROVAL, message)
    if detail.approval is not None and (known is None or known.approval is None):
        yield StatusEvent(APPROVED, f"approved by {detail.approval}")


def _of_response(claim: PrivacyBudgetClaim, index: int, response: Response) -> StatusEvent:
    request = claim.spec.requests[index]
    if response.state is ResponseState.FAILURE:
        is_allocation = isinstance(request.action, AllocateRequest)
        refusal = response.refusal or Refusal.of("")
        return StatusEvent(str(refusal.reason) if is_allocation else FAILED, str(refusal), is_warning=True)
    if isinstance(response.detail, AllocateResponse):
        blocks = summary.number_of_blocks(len(response.detail.budgets))
        if response.state is ResponseState.PENDING:
            return StatusEvent(WAITING, f"waits for {summary.demand(claim)} on {blocks}")
        return StatusEvent(GRANTED, f"granted {summary.demand(claim)} on {blocks}")
    if isinstance(response.detail, RegisterResponse):
        return StatusEvent(REGISTERED, f"registered what {response.detail.step} releases")
    if isinstance(request.action, ConsumeRequest):
        blocks = summary.number_of_blocks(len(request.action.consume))
        return StatusEvent(CONSUMED, f"committed permanently on {blocks}")
    return StatusEvent(RELEASED, "released its budget")
