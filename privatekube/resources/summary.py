"""Short descriptions of blocks and claims, for the columns of a table."""

from __future__ import annotations

import enum

from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import RegisterResponse, ResponseState
from privatekube.resources.wire.common import Json


class ClaimState(enum.StrEnum):
    """The state of a claim in one word, as tables show it."""

    NEW = "new"
    WAITING = "waiting"
    AWAITS_APPROVAL = "waits for approval"
    ACQUIRED = "acquired"
    CONSUMED = "consumed"
    RELEASED = "released"
    FAILURE = "failure"


_STATE_BY_ANSWER = {
    ResponseState.PENDING: ClaimState.WAITING,
    ResponseState.SUCCESS: ClaimState.RELEASED,
    ResponseState.FAILURE: ClaimState.FAILURE,
}
"""The state of a claim without budget, by the state of its last answer about budget."""


def block_columns(block: PrivateDataBlock) -> Json:
    """Return the columns that `kubectl get pb` shows of a block's status."""
    if block.status is None:
        return {}
    waiting, share = len(block.status.reserved), committed_share(block)
    return {"left": left(block), "committedShare": f"{share:.1%}", "waitingClaims": waiting}


def alarm(block: PrivateDataBlock) -> str:
    """Say that a block is nearly exhausted, or that nothing is left of it, by its conditions; else nothing."""
    conditions = () if block.status is None else block.status.conditions
    return "; ".join(condition.message or "nothing is left" for condition in conditions if condition.status)


def claim_columns(claim: PrivacyBudgetClaim) -> Json:
    """Return the columns that `kubectl get pbc` shows of a claim's status."""
    responses = claim.status.responses
    held = {**claim.status.reserved, **claim.status.acquired, **claim.status.committed}
    reason = str(responses[-1].refusal or "") if responses else ""
    if state(claim) is ClaimState.WAITING:
        reason = "not enough is unlocked"
    if claim.awaits_approval:
        reason = "its team or namespace is beyond a threshold"
    return {"state": str(state(claim)), "demand": demand(claim), "numberOfBlocks": len(held), "reason": reason}


def number_of(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number of things in words; without a `plural`, an s is appended.

    >>> number_of(1, "entry", "entries"), number_of(0, "entry", "entries"), number_of(2000, "step")
    ('1 entry', '0 entries', '2,000 steps')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def number_of_blocks(number: int) -> str:
    """Return a number of blocks in words.

    >>> number_of_blocks(1), number_of_blocks(2)
    ('1 block', '2 blocks')
    """
    return number_of(number, "block")


def left(block: PrivateDataBlock) -> str:
    """Describe the budget that is not granted yet: epsilon and delta, or the Renyi order with most left."""
    return str(left_amount(block))


def left_amount(block: PrivateDataBlock) -> PrivacyBudget:
    """Return the budget that is not granted yet, locked or not."""
    status = block.status
    return block.spec.initial_budget if status is None else status.pending + status.available


def committed_share(block: PrivateDataBlock) -> float:
    """Return the committed share of the initial budget: of the scarcer component, or at the best order."""
    if block.status is None or not block.status.committed:
        return 0.0
    first, *others = block.status.committed.values()
    return arithmetic.used_share(arithmetic.total(others, start=first), capacity=block.spec.initial_budget)


def state(claim: PrivacyBudgetClaim) -> ClaimState:
    """Return the state of a claim."""
    if claim.status.acquired:
        return ClaimState.ACQUIRED
    if claim.status.committed:
        return ClaimState.CONSUMED
    if claim.awaits_approval:
        return ClaimState.AWAITS_APPROVAL
    moving = [answer for answer in claim.status.responses if not isinstance(answer.detail, RegisterResponse)]
    return _STATE_BY_ANSWER[moving[-1].state] if moving else ClaimState.NEW


def demand(claim: PrivacyBudgetClaim) -> str:
    """Describe a claim's demand on each block."""
    for request in claim.spec.requests:
        if isinstance(request.action, AllocateRequest) and request.action.expected_budget.constant is not None:
            return str(request.action.expected_budget.constant)
    return "by block"
