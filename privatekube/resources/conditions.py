"""status.conditions of both kinds: where a block or a claim stands, for `kubectl wait` and for people.

They follow from the rest of the object alone, but for the time of the last change, so a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from privatekube.privacy import rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import Condition
from privatekube.resources.refusals import Refusal
from privatekube.resources.responses import AllocateResponse, Response, ResponseState

EXHAUSTED, GRANTED, SETTLED = "Exhausted", "Granted", "Settled"
WAITING = "Waiting"


def of_block(block: PrivateDataBlock, *, now_ms: int) -> PrivateDataBlock:
    """The block with its conditions; one without a status has none."""
    if block.status is None:
        return block
    left = block.status.pending + block.status.available
    exhausted = _is_spent(left, block.spec.initial_budget)
    reason = "NothingLeft" if exhausted else "BudgetLeft"
    found = Condition(EXHAUSTED, exhausted, reason, "", now_ms, block.meta.generation)
    return replace(block, status=replace(block.status, conditions=_kept(block.status.conditions, [found])))


def of_claim(claim: PrivacyBudgetClaim, *, now_ms: int) -> PrivacyBudgetClaim:
    """The claim with its conditions; one that was not looked at yet has none."""
    answered = [
        response
        for response in claim.status.responses
        if isinstance(response.detail, AllocateResponse) or response.refusal
    ]
    found = []
    if answered:
        found.append(_granted(answered[0], now_ms, claim.meta.generation))
    if claim.status.acquired:
        message = f"holds budget of {len(claim.status.acquired)} blocks"
        found.append(Condition(SETTLED, False, "Holding", message, now_ms, claim.meta.generation))
    elif any(condition.status for condition in found):
        reason = "Consumed" if claim.status.committed else "Released"
        found.append(Condition(SETTLED, True, reason, "", now_ms, claim.meta.generation))
    return replace(claim, status=replace(claim.status, conditions=_kept(claim.status.conditions, found)))


def _granted(response: Response, now_ms: int, generation: int) -> Condition:
    match response.state:
        case ResponseState.SUCCESS:
            return Condition(GRANTED, True, GRANTED, "", now_ms, generation)
        case ResponseState.PENDING:
            message = "waits for budget to be unlocked or given back"
            return Condition(GRANTED, False, WAITING, message, now_ms, generation)
        case ResponseState.FAILURE:
            refusal = response.refusal or Refusal.parse("")
            return Condition(GRANTED, False, str(refusal.reason), str(refusal), now_ms, generation)


def _is_spent(left: PrivacyBudget, whole: PrivacyBudget) -> bool:
    """Whether nothing can be granted any more: no epsilon is left, at no order."""
    if isinstance(left, EpsilonDelta) and isinstance(whole, EpsilonDelta):
        return left.epsilon <= rounding.RELATIVE_TOLERANCE * whole.epsilon
    pairs = zip(left.values, whole.values, strict=True)
    return all(value <= rounding.RELATIVE_TOLERANCE * abs(capacity) for value, capacity in pairs)


def _kept(before: Iterable[Condition], found: Iterable[Condition]) -> tuple[Condition, ...]:
    """What was found, with the time of the last change where nothing changed since."""
    known = {each.type: each for each in before}
    return tuple(
        replace(each, last_transition_ms=known[each.type].last_transition_ms)
        if each.type in known and known[each.type].status == each.status
        else each
        for each in found
    )
