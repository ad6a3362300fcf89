"""Allocate requests: their arrival, their grant, their time-out (spec of PrivateKube's DPF, OSDI'21)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import pass_state as states
from privatekube.reconcile.pass_state import State
from privatekube.resources import matching, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import AllocateResponse, Allocation, ResponseState
from privatekube.scheduling import unlocking as unlockings
from privatekube.scheduling.snapshot import BlockView, Grant, Schedule, Snapshot, WaitingRequest
from privatekube.scheduling.unlocking import UnlockingPolicy

TIMEOUT = "timeout"


def arrive(
    state: State, claim: PrivacyBudgetClaim, index: int, request: AllocateRequest, unlocking: UnlockingPolicy
) -> None:
    """Admit a request: unlock on each candidate and reserve there, then write the pending answer.

    A block that has the request's lock already has unlocked for it: a repetition changes nothing there.
    """
    request_id = claim.request_id(index)
    try:
        found = matching.candidates(request, claim.meta.namespace, state.blocks.values())
        matching.require_enough(request, len(found))
        demands = matching.demand(request, found)
    except errors.InvalidInput as error:
        states.undo_locks(state, claim, request_id)
        state.answer(claim, index, ResponseState.FAILURE, error=str(error))
        return
    for block in found:
        status = transitions.status_of(block)
        lock = status.locks.get(request_id)
        amount = None if lock is not None else unlockings.arriving(unlocking, block.spec.initial_budget, status.pending)
        opened = block if amount is None else transitions.unlock(block, amount)
        if lock is None or (claim.id not in status.reserved and lock.acquired is None):
            demand = demands[block.id]
            state.write_block(transitions.reserve(opened, claim.id, request_id, demand, owner=claim.meta.uid))
    detail = AllocateResponse(
        {block_id: Allocation(reserved=demand) for block_id, demand in demands.items()}, start_time_ms=state.now_ms
    )
    held = replace(claim.status, reserved=demands)
    state.answer(claim, index, ResponseState.PENDING, detail=detail, held=held)


def grant(state: State, grants: Iterable[Grant]) -> None:
    """Grant waiting requests their demands: lock all, write the answers, complete the locks."""
    locked = {each.request_id: _lock(state, each) for each in grants}
    state.flush()
    waiting = {request_id: _waiting_claim(state, request_id) for request_id in locked}
    state.store.concurrently(
        [partial(_answer, state, *waiting[request_id], granted) for request_id, granted in locked.items()]
    )
    for request_id, (claim, _) in waiting.items():
        _complete(state, claim, request_id)


def _lock(state: State, grant: Grant) -> dict[str, PrivacyBudget]:
    claim, index = _waiting_claim(state, grant.request_id)
    demands = demand_of(claim, index)
    granted = {block_id: demands[block_id] for block_id in grant.blocks}
    for block_id, amount in granted.items():
        state.write_block(
            transitions.begin_acquire(state.blocks[block_id], grant.request_id, amount, owner=claim.meta.uid)
        )
    return granted


def answer_granted(state: State, claim: PrivacyBudgetClaim, index: int, granted: Mapping[str, PrivacyBudget]) -> None:
    """Write that a request got what its locks hold, then complete them."""
    _answer(state, claim, index, granted)
    _complete(state, claim, claim.request_id(index))


def _answer(state: State, claim: PrivacyBudgetClaim, index: int, granted: Mapping[str, PrivacyBudget]) -> None:
    before = claim.response_at(index)
    started = before.detail.start_time_ms if before and isinstance(before.detail, AllocateResponse) else None
    detail = AllocateResponse(
        {block_id: Allocation(acquired=amount) for block_id, amount in granted.items()},
        start_time_ms=state.now_ms if started is None else started,
        finish_time_ms=state.now_ms,
    )
    held = replace(claim.status, reserved={}, acquired=states.plus(claim.status.acquired, granted))
    state.answer(claim, index, ResponseState.SUCCESS, detail=detail, held=held)


def _complete(state: State, claim: PrivacyBudgetClaim, request_id: str) -> None:
    for block in states.locked_by(state, request_id):
        state.complete(block, claim, request_id)


def expire(state: State, default_timeout_ms: int) -> None:
    """Fail the waiting requests whose time is over; their reservations go."""
    for claim in list(state.open_claims.values()):
        waiting, deadline = _waiting(claim), deadline_ms(claim, default_timeout_ms)
        if waiting is not None and deadline is not None and state.now_ms >= deadline:
            index, request, _ = waiting
            fail(state, claim, index, _why_timed_out(state, claim, request))


def deadline_ms(claim: PrivacyBudgetClaim, default_timeout_ms: int) -> int | None:
    """Until when a claim's request may wait, unix milliseconds; None where none waits."""
    waiting = _waiting(claim)
    if waiting is None:
        return None
    _, request, detail = waiting
    return (detail.start_time_ms or 0) + (request.timeout_ms or default_timeout_ms)


def fail(state: State, claim: PrivacyBudgetClaim, index: int, error: str) -> PrivacyBudgetClaim:
    """Answer a waiting request with failure, then take its reservations back; the claim as it is then."""
    before = claim.response_at(index)
    detail = None
    if before is not None and isinstance(before.detail, AllocateResponse):
        detail = replace(before.detail, budgets={}, finish_time_ms=state.now_ms)
    held = replace(claim.status, reserved={})
    answered = state.answer(claim, index, ResponseState.FAILURE, error=error, detail=detail, held=held)
    states.undo_locks(state, claim, claim.request_id(index))
    return answered


def _why_timed_out(state: State, claim: PrivacyBudgetClaim, request: AllocateRequest) -> str:
    """The word for it, and what keeps the demand from being met ever, where something does."""
    try:
        matching.require_possible(request, matching.candidates(request, claim.meta.namespace, state.blocks.values()))
    except errors.InvalidInput as error:
        return f"{TIMEOUT}: {error}"
    return TIMEOUT


def snapshot(state: State) -> Snapshot:
    """What the scheduler sees of this state."""
    waiting = []
    for claim in state.open_claims.values():
        found = _waiting(claim)
        if found is not None:
            index, request, detail = found
            waiting.append(
                WaitingRequest(
                    id=claim.request_id(index),
                    demand={key: each for key, each in demand_of(claim, index).items() if key in state.blocks},
                    n_blocks=request.max_blocks,
                    arrival_ms=detail.start_time_ms or 0,
                    priority=claim.spec.priority or 0,
                )
            )
    views = {block.id: view(block) for block in state.blocks.values()}
    return Snapshot(state.now_ms, views, tuple(sorted(waiting, key=lambda each: each.arrival_ms)))


def view(block: PrivateDataBlock) -> BlockView:
    """A block as the scheduler sees it."""
    status = transitions.status_of(block)
    return BlockView(
        id=block.id,
        capacity=block.spec.initial_budget,
        pending=status.pending,
        available=status.available,
        schedule=schedule(block),
    )


def schedule(block: PrivateDataBlock) -> Schedule:
    """What says when time unlocks a block."""
    last = transitions.status_of(block).last_release_ms
    return Schedule(block.meta.creation_time_ms or 0, last, block.spec.flow_releasing)


def demand_of(claim: PrivacyBudgetClaim, index: int) -> dict[str, PrivacyBudget]:
    """What a waiting request has reserved, by block id."""
    response = claim.response_at(index)
    if response is None or not isinstance(response.detail, AllocateResponse):
        return {}
    return {key: each.reserved for key, each in response.detail.budgets.items() if each.reserved is not None}


def _waiting(claim: PrivacyBudgetClaim) -> tuple[int, AllocateRequest, AllocateResponse] | None:
    now = claim.current_request
    if now is None:
        return None
    index, request = now
    response = claim.response_at(index)
    if response is None or not isinstance(request.action, AllocateRequest):
        return None
    detail = response.detail if isinstance(response.detail, AllocateResponse) else AllocateResponse()
    return index, request.action, detail


def _waiting_claim(state: State, request_id: str) -> tuple[PrivacyBudgetClaim, int]:
    claim_id, _, index = request_id.rpartition("/")
    return state.open_claims[claim_id], int(index)
