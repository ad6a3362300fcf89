"""status.conditions of blocks and claims, for `kubectl wait` and for people.

Conditions are derived from the rest of the object, except for the time of their last change. So deriving them again
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from privatekube.privacy import arithmetic, rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import Condition
from privatekube.resources.refusals import Refusal
from privatekube.resources.responses import AllocateResponse, RegisterResponse, Response, ResponseState
from privatekube.resources.thresholds import Thresholds

EXHAUSTED, NEARLY_EXHAUSTED, GRANTED, SETTLED = "Exhausted", "NearlyExhausted", "Granted", "Settled"
WAITING, WAITS_FOR_APPROVAL = "Waiting", "WaitsForApproval"


def update_block(block: PrivateDataBlock, *, now_ms: int, thresholds: Thresholds | None = None) -> PrivateDataBlock:
    """Return the block with its current conditions; a block without a status has none.

    Args:
        block: the block.
        now_ms: the time in unix milliseconds.
        thresholds: at which it is nearly exhausted; None to leave what its status says of that.
    """
    if block.status is None:
        return block
    generation = block.meta.generation
    left = block.status.pending + block.status.available
    exhausted = _is_spent(left, block.spec.initial_budget)
    reason = "NothingLeft" if exhausted else "BudgetLeft"
    nearly = of_type(block, NEARLY_EXHAUSTED) if thresholds is None else _nearly_exhausted(block, thresholds, now_ms)
    current = [Condition(EXHAUSTED, exhausted, reason, "", now_ms, generation), *([nearly] if nearly else [])]
    return replace(block, status=replace(block.status, conditions=_merge(block.status.conditions, current)))


def of_type(block: PrivateDataBlock, name: str) -> Condition | None:
    """Return a condition of a block; None if its status does not have it."""
    known = () if block.status is None else block.status.conditions
    return next((condition for condition in known if condition.type == name), None)


def is_true(block: PrivateDataBlock, name: str) -> bool:
    """Return whether a condition of a block is true."""
    condition = of_type(block, name)
    return condition is not None and condition.status


def update_claim(claim: PrivacyBudgetClaim, *, now_ms: int) -> PrivacyBudgetClaim:
    """Return the claim with its current conditions; a claim without an answer has none."""
    answered = [
        response
        for response in claim.status.responses
        if isinstance(response.detail, AllocateResponse)
        or (response.refusal and not isinstance(response.detail, RegisterResponse))
    ]
    conditions = []
    if answered:
        conditions.append(_granted(answered[0], now_ms, claim.meta.generation))
    if claim.status.acquired:
        message = f"holds budget on {summary.number_of_blocks(len(claim.status.acquired))}"
        conditions.append(Condition(SETTLED, False, "Holding", message, now_ms, claim.meta.generation))
    elif any(condition.status for condition in conditions):
        reason = "Consumed" if claim.status.committed else "Released"
        conditions.append(Condition(SETTLED, True, reason, "", now_ms, claim.meta.generation))
    return replace(claim, status=replace(claim.status, conditions=_merge(claim.status.conditions, conditions)))


def _nearly_exhausted(block: PrivateDataBlock, thresholds: Thresholds, now_ms: int) -> Condition:
    """Return whether a threshold is reached; the reason tells which, so that the next one is another reason."""
    percent = thresholds.crossed(summary.committed_share(block))
    if percent is None:
        return Condition(NEARLY_EXHAUSTED, False, "BudgetLeft", "", now_ms, block.meta.generation)
    message = f"at least {percent}% of its budget is committed"
    return Condition(NEARLY_EXHAUSTED, True, f"Committed{percent}Percent", message, now_ms, block.meta.generation)


def _granted(response: Response, now_ms: int, generation: int) -> Condition:
    match response.state:
        case ResponseState.SUCCESS:
            return Condition(GRANTED, True, GRANTED, "", now_ms, generation)
        case ResponseState.PENDING if _awaits_approval(response):
            message = "waits for an approval by somebody else who may approve: privatekube approve"
            return Condition(GRANTED, False, WAITS_FOR_APPROVAL, message, now_ms, generation)
        case ResponseState.PENDING:
            message = "waits for budget to be unlocked or released"
            return Condition(GRANTED, False, WAITING, message, now_ms, generation)
        case ResponseState.FAILURE:
            refusal = response.refusal or Refusal.of("")
            return Condition(GRANTED, False, str(refusal.reason), str(refusal), now_ms, generation)


def _awaits_approval(response: Response) -> bool:
    return isinstance(response.detail, AllocateResponse) and response.detail.awaits_approval is not None


def _is_spent(left: PrivacyBudget, whole: PrivacyBudget) -> bool:
    """Whether nothing can be granted any more: no epsilon is left, or none at any order."""
    if isinstance(left, EpsilonDelta) and isinstance(whole, EpsilonDelta):
        return left.epsilon <= rounding.RELATIVE_TOLERANCE * whole.epsilon
    pairs = zip(left.values, arithmetic.at_orders_of(whole, left).values, strict=True)
    return all(value <= rounding.RELATIVE_TOLERANCE * abs(capacity) for value, capacity in pairs)


def _merge(before: Iterable[Condition], current: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the current conditions; one whose status did not change keeps the time of its last change."""
    known = {condition.type: condition for condition in before}
    return tuple(
        replace(condition, last_transition_ms=known[condition.type].last_transition_ms)
        if condition.type in known and known[condition.type].status == condition.status
        else condition
        for condition in current
    )
