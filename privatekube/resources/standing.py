"""Where a claim stands: questions that its own content answers."""

from __future__ import annotations

from dataclasses import replace

from privatekube import errors
from privatekube.privacy import budget
from privatekube.resources.block import Budgets
from privatekube.resources.claim import (
    AllocateRequest,
    AllocateResponse,
    ClaimSpec,
    ConsumeResponse,
    PrivacyBudgetClaim,
    ResponseState,
    SettleAfter,
)


def waits(claim: PrivacyBudgetClaim) -> bool:
    """Whether a request of it has no final answer yet."""
    answered = [each for each in claim.status.responses if each.state is not ResponseState.PENDING]
    return len(answered) < len(claim.spec.requests)


def asks(claim: PrivacyBudgetClaim) -> list[AllocateRequest]:
    """Its allocate requests that have no final answer yet."""
    n_answered = sum(each.state is not ResponseState.PENDING for each in claim.status.responses)
    actions = [request.action for request in claim.spec.requests[n_answered:]]
    return [action for action in actions if isinstance(action, AllocateRequest)]


def has_on(claim: PrivacyBudgetClaim, block_id: str) -> bool:
    """Whether it holds budget on a block, or has reserved some."""
    return block_id in claim.status.acquired or block_id in claim.status.reserved


def may_be_settled(claim: PrivacyBudgetClaim) -> bool:
    """Whether it holds budget that the control plane settles once its time is over."""
    return bool(claim.status.acquired) and claim.spec.settle_after is not None


def is_for(claim: PrivacyBudgetClaim, request: AllocateRequest) -> bool:
    """Whether it was made for that request, however long it was to wait."""
    first = claim.spec.requests[0].action if claim.spec.requests else None
    return isinstance(first, AllocateRequest) and replace(first, timeout_ms=request.timeout_ms) == request


def holds_its_grant(claim: PrivacyBudgetClaim) -> bool:
    """Whether it was granted something above nothing, and still holds it on every block."""
    grants = [each.detail.budgets for each in claim.status.responses if isinstance(each.detail, AllocateResponse)]
    granted = {key for grant in grants for key, each in grant.items() if each.acquired is not None}
    worth = any(value > 0 for amount in claim.status.acquired.values() for value in amount.values)
    return worth and granted <= set(claim.status.acquired)


def renewed(spec: ClaimSpec, *, now_ms: int, seconds: int | None = None) -> ClaimSpec:
    """The same with its time to settle put off: by as many seconds as before, or else by these; None for never."""
    after = seconds if spec.settle_after is None else spec.settle_after.seconds
    return spec if after is None else replace(spec, settle_after=SettleAfter.of(after, now_ms=now_ms))


def require_committed(claim: PrivacyBudgetClaim, asked: Budgets) -> None:
    """Compare what was committed with what was asked in the last request, block by block.

    Raises:
        BudgetExceeded: on some block it differs, with both numbers.
    """
    response = claim.status.responses[-1]
    outcomes = response.detail.blocks if isinstance(response.detail, ConsumeResponse) else {}
    for block_id, amount in asked.items():
        outcome = outcomes.get(block_id)
        done = None if outcome is None or response.state is not ResponseState.SUCCESS else outcome.budget
        if done is None or not budget.is_close(done, amount):
            reason = response.error or (outcome.error if outcome else None) or "it was cut short"
            raise errors.BudgetExceeded(f"block {block_id}: asked to commit {amount}, committed {done}: {reason}")
