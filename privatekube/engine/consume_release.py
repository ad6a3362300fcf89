"""Consume and release requests: acquired budget is committed permanently, or released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from privatekube import errors
from privatekube.engine import sums
from privatekube.engine.draft import Draft
from privatekube.privacy import arithmetic, budget, budget_text, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from privatekube.resources.responses import ConsumeResponse, ReleaseResponse, ResponseState, Settlement

BeginTransition = Callable[..., PrivateDataBlock]
_OPENED = Settlement(error="the data was opened, so its budget cannot be released; consume it")


def consume(draft: Draft, claim: PrivacyBudgetClaim, index: int, request: ConsumeRequest) -> None:
    """Commit the amounts of a request; with allOrNothing=true all of them or nothing."""
    request_id = claim.request_id(index)
    outcomes = {
        block_id: _settlement(draft, claim, request_id, block_id, amount, truncate=not request.is_all_or_nothing)
        for block_id, amount in request.consume.items()
    }
    faults = [f"{block_id}: {outcome.error}" for block_id, outcome in outcomes.items() if outcome.error]
    if request.is_all_or_nothing and faults:
        draft.undo_locks(request_id)
        refusal = Refusal.of("; ".join(faults))
        draft.answer(claim, index, ResponseState.FAILURE, refusal=refusal, detail=ConsumeResponse(outcomes))
        return
    amounts = _lock_amounts(draft, claim, request_id, outcomes, transitions.begin_commit)
    holdings = replace(
        claim.status,
        acquired=sums.minus(claim.status.acquired, amounts),
        committed=sums.plus(claim.status.committed, amounts),
    )
    draft.answer(claim, index, ResponseState.SUCCESS, detail=ConsumeResponse(outcomes), holdings=holdings)
    draft.complete_locks(claim, request_id)


def release(draft: Draft, claim: PrivacyBudgetClaim, index: int, request: ReleaseRequest) -> None:
    """Release the amounts of a request; refused on every block once the claim's data has been opened."""
    request_id = claim.request_id(index)
    if claim.spec.data_opened:
        outcomes = dict.fromkeys(request.release, _OPENED)
    else:
        amounts = {key: _release_amount(draft, claim, key, amount) for key, amount in request.release.items()}
        outcomes = {
            block_id: _settlement(draft, claim, request_id, block_id, amount, truncate=request.is_truncated)
            for block_id, amount in amounts.items()
        }
    amounts = _lock_amounts(draft, claim, request_id, outcomes, transitions.begin_release)
    holdings = replace(claim.status, acquired=sums.minus(claim.status.acquired, amounts))
    draft.answer(claim, index, ResponseState.SUCCESS, detail=ReleaseResponse(outcomes), holdings=holdings)
    draft.complete_locks(claim, request_id)


def _release_amount(draft: Draft, claim: PrivacyBudgetClaim, block_id: str, amount: PrivacyBudget) -> PrivacyBudget:
    """Return the amount to release: all that is held where every component is negative, as in PrivateKube."""
    is_all = all(value < 0 for value in amount.values)
    held = held_amount(draft, claim, block_id) if is_all else None
    return amount if held is None else held


def _settlement(
    draft: Draft,
    claim: PrivacyBudgetClaim,
    request_id: RequestId,
    block_id: str,
    amount: PrivacyBudget,
    *,
    truncate: bool,
) -> Settlement:
    """Return how much of `amount` can be settled on one block, or why nothing can; an existing lock decides."""
    block = draft.blocks.get(block_id)
    lock = block.status.locks.get(request_id) if block and block.status else None
    if lock is not None and lock.acquired is not None:
        return Settlement(budget=lock.acquired)
    held = held_amount(draft, claim, block_id)
    try:
        budget.require_amount("amount", amount)
        if not any(amount.values):
            raise errors.invalid("amount", str(amount), "must be above 0", "leave the block out")
        if held is None:
            return Settlement(error="nothing is acquired on this block")
        settled = amount.minimum(held)
        if len(settled.values) < len(held.values):  # orders that are not named would be lost permanently
            known = ", ".join(f"{order:g}" for order in held.orders)
            return Settlement(error=f"asked {amount}: name every order that is held: {known}")
        if not truncate and not _is_within(amount, held):
            asked, known = budget_text.differing(amount, held)
            return Settlement(error=f"asked {asked}, held {known}")
        return Settlement(budget=settled)
    except errors.InvalidInput as error:
        return Settlement(error=str(error))


def held_amount(draft: Draft, claim: PrivacyBudgetClaim, block_id: str) -> PrivacyBudget | None:
    """Return what the claim holds on a block: the smaller of what the claim and the block record."""
    block, in_claim = draft.blocks.get(block_id), claim.status.acquired.get(block_id)
    in_block = block.status.acquired.get(claim.id) if block and block.status else None
    return None if in_claim is None or in_block is None else in_claim.minimum(in_block)


def _is_within(amount: PrivacyBudget, held: PrivacyBudget) -> bool:
    """Whether no component of `amount` is greater than in `held`, up to float rounding of that component."""
    amounts = arithmetic.at_orders_of(amount, held).values
    pairs = zip(amounts, held.values, strict=True)
    return all(rounding.fits(asked, available=most, capacity=most) for asked, most in pairs)


def _lock_amounts(
    draft: Draft,
    claim: PrivacyBudgetClaim,
    request_id: RequestId,
    outcomes: dict[str, Settlement],
    begin_transition: BeginTransition,
) -> dict[str, PrivacyBudget]:
    """Lock the settled amounts and return them; undo locks of an earlier attempt that settles nothing any more."""
    amounts = {block_id: outcome.budget for block_id, outcome in outcomes.items() if outcome.budget is not None}
    draft.undo_locks(request_id, except_on=amounts)
    for block_id, amount in amounts.items():
        block = draft.blocks[block_id]
        if request_id not in transitions.status_of(block).locks:
            draft.stage_block(begin_transition(block, request_id, amount, owner=claim.meta.uid))
    return amounts
