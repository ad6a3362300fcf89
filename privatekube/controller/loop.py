"""One pass of the control plane: read, bring in order, decide, apply, until nothing is left to do.

Level-triggered and idempotent: what a pass does follows from what is stored, not from what happened.
"""

from __future__ import annotations

from dataclasses import replace

from privatekube.controller import allocation, recovery, settlement
from privatekube.controller import state as states
from privatekube.controller.state import State
from privatekube.resources import moves
from privatekube.resources.claim import AllocateRequest, ConsumeRequest
from privatekube.scheduling import cycle
from privatekube.scheduling.ordering import OrderingPolicy
from privatekube.scheduling.snapshot import Plan
from privatekube.scheduling.unlocking import UnlockingPolicy
from privatekube.store.base import ResourceStore

DEFAULT_TIMEOUT_MS = 300_000
WITHDRAWN = "withdrawn"


def reconcile(
    store: ResourceStore,
    *,
    now_ms: int,
    unlocking: UnlockingPolicy,
    ordering: OrderingPolicy,
    default_timeout_ms: int = DEFAULT_TIMEOUT_MS,
    tick: bool = True,
) -> None:
    """Run one pass.

    Args:
        store: where blocks and claims are; the whole pass is one transaction where the store has them.
        now_ms: unix milliseconds.
        unlocking: how pending budget becomes available.
        ordering: which request goes first.
        default_timeout_ms: how long a request waits that does not say.
        tick: whether time unlocks in this pass.

    Raises:
        Conflict: somebody else wrote meanwhile; run another pass.
    """
    with store.transaction():
        state = State.read(store, now_ms)
        recovery.admit(state)
        recovery.recover(state)
        _advance(state, unlocking)
        allocation.expire(state, default_timeout_ms)
        plan = _decide(state, unlocking, ordering, tick=tick)
        while plan.grants or _advance(state, unlocking):
            plan = _decide(state, unlocking, ordering, tick=False)


def withdraw(store: ResourceStore, claim_id: str, *, now_ms: int) -> None:
    """Give up the request that a claim waits for: it is answered with failure, and its reservations go."""
    with store.transaction():
        state = State.read(store, now_ms)
        claim = state.open_claims.get(claim_id)
        waiting = None if claim is None else states.current(claim)
        if claim is not None and waiting is not None:
            allocation.fail(state, claim, waiting[0], WITHDRAWN)


def _advance(state: State, unlocking: UnlockingPolicy) -> bool:
    """Answer each claim's requests in order, as far as they do not have to wait; whether anything was answered."""
    moved = False
    for claim_id in list(state.open_claims):
        while (claim := state.open_claims.get(claim_id)) is not None:
            now = states.current(claim)
            if now is None:
                del state.open_claims[claim_id]
                break
            index, request = now
            if states.response_at(claim, index) is not None:
                break
            moved = True
            if isinstance(request.action, AllocateRequest):
                allocation.arrive(state, claim, index, request.action, unlocking)
            elif isinstance(request.action, ConsumeRequest):
                settlement.consume(state, claim, index, request.action)
            else:
                settlement.release(state, claim, index, request.action)
    return moved


def _decide(state: State, unlocking: UnlockingPolicy, ordering: OrderingPolicy, *, tick: bool) -> Plan:
    plan = cycle.plan(allocation.snapshot(state), unlocking=unlocking, ordering=ordering, tick=tick)
    for block_id, amount in plan.unlocks.items():
        block = moves.unlocked(state.blocks[block_id], amount)
        if unlocking.period_ms is not None:
            block = replace(block, status=replace(moves.status_of(block), last_release_ms=state.now_ms))
        state.write_block(block)
    for grant in plan.grants:
        allocation.grant(state, grant.request_id, grant.blocks)
    return plan
