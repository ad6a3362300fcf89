"""One pass of the control plane: read, bring in order, decide, apply, until nothing is left to do.

Level-triggered and idempotent: what a pass does follows from what is stored, not from what happened.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace

from privatekube import errors
from privatekube.reconcile import allocate_requests, consume_release, overdue_claims, recovery
from privatekube.reconcile.pass_state import State
from privatekube.resources import transitions
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest, ConsumeRequest, MalformedRequest, ReleaseRequest, Request
from privatekube.resources.responses import ResponseState
from privatekube.scheduling import cycle
from privatekube.scheduling import unlocking as unlockings
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import Plan
from privatekube.scheduling.unlocking import UnlockingPolicy
from privatekube.store.base import ResourceStore

WITHDRAWN = "withdrawn"
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.02


def reconcile(
    store: ResourceStore,
    policy: Policy,
    *,
    now_ms: int,
    tick: bool | None = None,
    completely: bool = True,
) -> bool:
    """Run one pass; whether, unless `completely`, writes were left to a later one.

    Where somebody else writes meanwhile, it starts again from what is stored then, a few times and with back-off.

    Args:
        store: where blocks and claims are; the whole pass is one transaction where the store has them.
        policy: how budget is shared.
        now_ms: unix milliseconds.
        tick: whether time unlocks in this pass; None on the blocks for which a period has passed since it last did.
        completely: whether to write at once what is decided and only left to be completed, which costs a write for
            every block; otherwise it goes with the block's next write, in this pass or a later one.

    Raises:
        Conflict: somebody else keeps writing; run another pass.
    """
    for attempt in range(ATTEMPTS):
        try:
            with store.transaction():
                state = State.read(store, now_ms)
                _pass(state, policy, tick=tick)
                return state.finish(completely=completely)
        except (errors.Conflict, errors.NotFound):
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.5, 1) * FIRST_WAIT_SECONDS * 2**attempt)  # noqa: S311 - spreads retries
    raise AssertionError  # the last attempt returned or raised


def _pass(state: State, policy: Policy, *, tick: bool | None) -> None:
    unlocking = policy.unlocking
    recovery.admit(state)
    recovery.recover(state, unlocking)
    recovery.retire(state)
    overdue_claims.settle_overdue(state)
    _advance(state, unlocking)
    allocate_requests.expire(state, policy.default_timeout_ms)
    if tick is not False:
        _tick(state, unlocking, at_once=tick is True)
    plan = _decide(state, policy)
    while plan.grants or _advance(state, unlocking):
        plan = _decide(state, policy)


def _tick(state: State, unlocking: UnlockingPolicy, *, at_once: bool) -> None:
    """Unlock what time unlocks, on each block for which a period has passed since it last did; or on all, `at_once`."""
    if unlocking.period_ms is None:
        return
    for block in list(state.blocks.values()):
        last = transitions.status_of(block).last_release_ms
        if at_once or last is None or state.now_ms - last >= unlocking.period_ms:
            amount = unlockings.ticking(
                unlocking, allocate_requests.schedule(block), transitions.status_of(block).pending, state.now_ms
            )
            if amount is not None:
                opened = transitions.unlock(block, amount)
                status = replace(transitions.status_of(opened), last_release_ms=state.now_ms)
                state.write_block(replace(opened, status=status))


def withdraw(store: ResourceStore, claim_id: str, *, now_ms: int) -> None:
    """Give up the request that a claim waits for: it is answered with failure, and its reservations go."""
    with store.transaction():
        state = State.read(store, now_ms)
        claim = state.open_claims.get(claim_id)
        waiting = None if claim is None else claim.current_request
        if claim is not None and waiting is not None:
            allocate_requests.fail(state, claim, waiting[0], WITHDRAWN)
            state.finish()


def _advance(state: State, unlocking: UnlockingPolicy) -> bool:
    """Answer each claim's requests in order, as far as they do not have to wait; whether anything was answered."""
    moved = False
    for claim_id in list(state.open_claims):
        while (claim := state.open_claims.get(claim_id)) is not None:
            now = claim.current_request
            if now is None:
                del state.open_claims[claim_id]
                break
            index, request = now
            if claim.response_at(index) is not None:
                break
            moved = True
            _answer(state, claim, index, request, unlocking)
    return moved


def _answer(state: State, claim: PrivacyBudgetClaim, index: int, request: Request, unlocking: UnlockingPolicy) -> None:
    match request.action:
        case AllocateRequest() as action:
            allocate_requests.arrive(state, claim, index, action, unlocking)
        case ConsumeRequest() as action:
            consume_release.consume(state, claim, index, action)
        case ReleaseRequest() as action:
            consume_release.release(state, claim, index, action)
        case MalformedRequest() as action:
            state.answer(claim, index, ResponseState.FAILURE, error=action.fault)


def _decide(state: State, policy: Policy) -> Plan:
    plan = cycle.plan(
        allocate_requests.snapshot(state), unlocking=policy.unlocking, ordering=policy.ordering, tick=False
    )
    for block_id, amount in plan.unlocks.items():
        state.write_block(transitions.unlock(state.blocks[block_id], amount))
    allocate_requests.grant(state, plan.grants)
    return plan
