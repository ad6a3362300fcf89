"""One pass of the control plane: read the store, decide, write; start again if another writer interferes.

Level-triggered and idempotent: what a pass does depends on what is stored, not on what happened before.
"""

from __future__ import annotations

from privatekube import errors, retries
from privatekube.engine import unlocking
from privatekube.reconcile import (
    allocate_requests,
    card_statements,
    consume_release,
    overdue_claims,
    recovery,
    register_releases,
)
from privatekube.reconcile.pass_state import PassState
from privatekube.resources import refusals
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.requests import (
    AllocateRequest,
    ConsumeRequest,
    MalformedRequest,
    RegisterRequest,
    ReleaseRequest,
    Request,
)
from privatekube.resources.responses import ResponseState
from privatekube.scheduling import cycle
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore

ATTEMPTS = 6
BACK_OFF = retries.BackOff(first_seconds=0.02)


def reconcile(
    store: ResourceStore, policy: Policy, *, now_ms: int, tick: bool | None = None, completely: bool = True
) -> bool:
    """Run one pass, and return whether it left writes to a later one; it leaves none if `completely`.

    1. Read the open claims and all blocks.
    2. Admit new blocks.
    3. Complete or undo what an interrupted pass began.
    4. Delete the blocks that are marked for deletion, and record what was committed on their data.
    5. Settle overdue claims.
    6. Sign the statements about privacy cards that claims ask for.
    7. Answer new requests; an allocate request begins to wait.
    8. Fail the allocate requests that timed out.
    9. Unlock budget by time.
    10. Grant waiting requests and answer those behind them, until nothing changes.
    11. Write what is still unwritten.

    When another writer interferes, the pass starts again from what is stored then, up to `ATTEMPTS` times in all.

    Args:
        store: holds blocks and claims; the whole pass is one transaction if the store supports them.
        policy: how budget is shared.
        now_ms: the time in unix milliseconds.
        tick: whether time unlocks budget in this pass; None for each block when its period has passed.
        completely: whether to write at once what is decided and only has to be completed, at the cost of one more
            write per block; otherwise it is written together with the block's next change, in this pass or a later one.

    Raises:
        Conflict: another writer interfered with every attempt; run another pass.
    """

    def run() -> bool:
        with store.transaction():
            state = PassState.read(store, now_ms)
            recovery.admit_blocks(state)
            recovery.recover_locks(state, policy)
            recovery.delete_blocks(state)
            overdue_claims.settle_overdue(state, policy)
            card_statements.sign_requested(state)
            _answer_requests(state, policy)
            allocate_requests.expire(state, policy)
            if tick is not False:
                _unlock_by_time(state, policy, at_once=tick is True)
            _grant_until_stable(state, policy)
            return state.finish(completely=completely)

    return retries.call(run, on=(errors.Conflict, errors.NotFound), attempts=ATTEMPTS, back_off=BACK_OFF)


def withdraw(store: ResourceStore, claim_id: str, *, now_ms: int) -> None:
    """Fail the request that a claim waits for, and drop its reservations."""
    with store.transaction():
        state = PassState.read(store, now_ms)
        claim = state.open_claims.get(claim_id)
        current = None if claim is None else claim.current_request
        if claim is not None and current is not None:
            allocate_requests.fail(state, claim, current[0], refusals.WITHDRAWN)
            state.finish()


def _answer_requests(state: PassState, policy: Policy) -> bool:
    """Answer each claim's requests in order, up to the first that waits; return whether any was answered."""
    is_changed = False
    for claim_id in list(state.open_claims):
        while (claim := state.open_claims.get(claim_id)) is not None:
            current = claim.current_request
            if current is None:
                del state.open_claims[claim_id]
                break
            index, request = current
            if claim.response_at(index) is not None:
                break
            is_changed = True
            _answer(state, claim, index, request, policy)
    return is_changed


def _answer(state: PassState, claim: PrivacyBudgetClaim, index: int, request: Request, policy: Policy) -> None:
    match request.action:
        case AllocateRequest() as action:
            allocate_requests.accept(state, claim, index, action, policy)
        case ConsumeRequest() as action:
            consume_release.consume(state, claim, index, action)
        case ReleaseRequest() as action:
            consume_release.release(state, claim, index, action)
        case RegisterRequest() as action:
            register_releases.register(state, claim, index, action)
        case MalformedRequest() as action:
            state.answer(claim, index, ResponseState.FAILURE, refusal=Refusal.parse(action.fault))


def _unlock_by_time(state: PassState, policy: Policy, *, at_once: bool) -> None:
    """Unlock budget on each block for which a period has passed since the last time; on all blocks if `at_once`."""
    for block in list(state.blocks.values()):
        due_ms = unlocking.next_ms(block, policy)
        if at_once or (due_ms is not None and state.now_ms >= due_ms):
            _stage_if_changed(state, block, unlocking.by_period(block, policy, now_ms=state.now_ms))


def _stage_if_changed(state: PassState, before: PrivateDataBlock, after: PrivateDataBlock) -> None:
    if after is not before:
        state.stage_block(after)


def _grant_until_stable(state: PassState, policy: Policy) -> None:
    """Grant, and answer the requests behind those that were granted, until neither changes anything."""
    while _grant(state, policy) or _answer_requests(state, policy):
        pass


def _grant(state: PassState, policy: Policy) -> bool:
    """Run one scheduling decision and apply it; return whether it granted anything."""
    for block in list(state.blocks.values()):
        _stage_if_changed(state, block, unlocking.at_decision(block, policy, now_ms=state.now_ms))
    grants = cycle.decide(allocate_requests.snapshot(state), policy)
    allocate_requests.grant(state, grants)
    return bool(grants)
