"""Consume and release requests: budget that a claim acquired is committed for good, or given back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from privatekube import errors
from privatekube.privacy import budget, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import pass_state as states
from privatekube.reconcile.pass_state import State
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import ABORT_AVAILABLE, ALL_OR_NOTHING, ConsumeRequest, ReleaseRequest
from privatekube.resources.responses import ConsumeResponse, ReleaseResponse, ResponseState, Settlement

Moving = Callable[..., PrivateDataBlock]


def consume(state: State, claim: PrivacyBudgetClaim, index: int, request: ConsumeRequest) -> None:
    """Commit what the request names; with allOrNothing=true all of it or nothing."""
    request_id = claim.request_id(index)
    strict = _flag(request.policy, ALL_OR_NOTHING)
    outcomes = {
        block_id: _amount(state, claim, request_id, block_id, asked, truncate=not strict)
        for block_id, asked in request.consume.items()
    }
    faults = [f"{block_id}: {each.error}" for block_id, each in outcomes.items() if each.error]
    if strict and faults:
        states.undo_locks(state, claim, request_id)
        state.answer(claim, index, ResponseState.FAILURE, error="; ".join(faults), detail=ConsumeResponse(outcomes))
        return
    moved = _move(state, claim, request_id, outcomes, transitions.begin_commit)
    held = replace(
        claim.status,
        acquired=states.minus(claim.status.acquired, moved),
        committed=states.plus(claim.status.committed, moved),
    )
    state.answer(claim, index, ResponseState.SUCCESS, detail=ConsumeResponse(outcomes), held=held)
    _complete(state, claim, request_id)


def release(state: State, claim: PrivacyBudgetClaim, index: int, request: ReleaseRequest) -> None:
    """Give back what the request names; refused, block by block, once the data behind the claim was opened."""
    request_id = claim.request_id(index)
    truncate = _flag(request.policy, ABORT_AVAILABLE)
    outcomes = {
        block_id: _released(state, claim, request_id, block_id, asked, truncate=truncate)
        for block_id, asked in request.release.items()
    }
    moved = _move(state, claim, request_id, outcomes, transitions.begin_release)
    held = replace(claim.status, acquired=states.minus(claim.status.acquired, moved))
    state.answer(claim, index, ResponseState.SUCCESS, detail=ReleaseResponse(outcomes), held=held)
    _complete(state, claim, request_id)


def _released(
    state: State, claim: PrivacyBudgetClaim, request_id: str, block_id: str, asked: PrivacyBudget, *, truncate: bool
) -> Settlement:
    if claim.spec.data_opened:
        return Settlement(error="the data was opened, so its budget cannot come back; consume it")
    if all(value < 0 for value in asked.values):  # PrivateKube's way to say: everything held
        held = _held(state, claim, block_id)
        asked = asked if held is None else held
    return _amount(state, claim, request_id, block_id, asked, truncate=truncate)


def _amount(
    state: State, claim: PrivacyBudgetClaim, request_id: str, block_id: str, asked: PrivacyBudget, *, truncate: bool
) -> Settlement:
    """How much of `asked` moves on one block, or why nothing does; what a lock holds already is what moves."""
    block = state.blocks.get(block_id)
    lock = block.status.locks.get(request_id) if block and block.status else None
    if lock is not None and lock.acquired is not None:
        return Settlement(budget=lock.acquired)
    held = _held(state, claim, block_id)
    try:
        budget.require_amount("amount", asked)
        if held is None:
            return Settlement(error="nothing is acquired on this block")
        moved = asked.minimum(held)
        if len(moved.values) < len(held.values):  # what is not named would be lost to everybody, for good
            return Settlement(error=f"asked {asked}, held {held}: name every order that is held")
        if not truncate and not _within(asked, held):
            return Settlement(error=f"asked {asked}, held {held}")
        return Settlement(budget=moved)
    except errors.InvalidInput as error:
        return Settlement(error=str(error))


def _held(state: State, claim: PrivacyBudgetClaim, block_id: str) -> PrivacyBudget | None:
    """What the claim holds on a block: what both sides say."""
    block, own = state.blocks.get(block_id), claim.status.acquired.get(block_id)
    there = block.status.acquired.get(claim.id) if block and block.status else None
    return None if own is None or there is None else own.minimum(there)


def _within(asked: PrivacyBudget, held: PrivacyBudget) -> bool:
    """Whether no component of `asked` is more than `held`, but for float rounding."""
    excess = asked - held
    scale = max(abs(value) for value in held.values)
    return all(value <= rounding.ROUNDING * scale for value in excess.values)


def _move(
    state: State, claim: PrivacyBudgetClaim, request_id: str, outcomes: dict[str, Settlement], moving: Moving
) -> dict[str, PrivacyBudget]:
    """Lock what moves, and take back what an earlier attempt locked and does not move any more."""
    moved = {block_id: each.budget for block_id, each in outcomes.items() if each.budget is not None}
    states.undo_locks(state, claim, request_id, but_on=moved)
    for block_id, amount in moved.items():
        block = state.blocks[block_id]
        if request_id not in transitions.status_of(block).locks:
            state.write_block(moving(block, claim.id, request_id, amount, owner=claim.meta.uid))
    return moved


def _complete(state: State, claim: PrivacyBudgetClaim, request_id: str) -> None:
    for block in states.locked_by(state, request_id):
        state.complete(block, claim, request_id)


def _flag(policy: str | None, name: str) -> bool:
    return f"{name}=true" in (policy or "").replace(" ", "").split(",")
