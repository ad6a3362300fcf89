"""One pass of the control plane: what happens, in which order.

It is level-triggered and idempotent: what a pass decides depends on the world, not on what happened before.

Example:
    changes = run_pass(World(now_ms, blocks, open_claims), Policy.parse({}))
"""

from __future__ import annotations

from dataclasses import replace

from privatekube.engine import (
    admission,
    allocate_requests,
    answering,
    approvals,
    card_statements,
    clock_changes,
    deletion,
    overdue_claims,
    recovery,
    sealing_keys,
    unlocking,
)
from privatekube.engine.changes import Change
from privatekube.engine.draft import Draft
from privatekube.engine.world import World
from privatekube.resources import refusals
from privatekube.resources.block import PrivateDataBlock
from privatekube.scheduling import cycle
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import GrantDecision


def run_pass(world: World, policy: Policy, *, tick: bool | None = None) -> tuple[Change, ...]:
    """Decide one pass, and return its changes in the order in which they are written.

    Args:
        world: the state of the store.
        policy: how budget is shared.
        tick: whether time unlocks budget in this pass; None for each block when its period has passed.
    """
    draft = Draft(world, policy.alarms)
    # 1. Admit new blocks.
    admission.admit_blocks(draft)
    # 2. Complete or undo what an interrupted pass began.
    recovery.recover_locks(draft, policy)
    # 3. Fail the allocate requests whose answers the store refuses.
    allocate_requests.fail_unanswerable(draft)
    # 4. Take times that are still to come as now: a clock was wrong.
    clock_changes.take_future_as_now(draft)
    # 5. Delete the blocks that are marked for deletion, and record what was committed on their data.
    deletion.delete_blocks(draft)
    # 6. Sign the statements about privacy cards that claims ask for.
    card_statements.sign_requested(draft)
    # 7. Give their private keys to the claims that have paid and ask for them.
    sealing_keys.give_requested(draft)
    # 8. Answer new requests; an allocate request begins to wait.
    answering.answer_requests(draft, policy)
    # 9. Settle overdue claims.
    overdue_claims.settle_overdue(draft, policy)
    # 10. Enter what approvers decided about requests that wait for it, and answer those that are rejected.
    approvals.take_decisions(draft)
    # 11. Fail the allocate requests that timed out.
    allocate_requests.expire(draft, policy)
    # 12. Unlock budget by time.
    if tick is not False:
        _unlock_by_time(draft, policy, at_once=tick is True)
    # 13. Grant waiting requests and answer those behind them, until nothing changes.
    while _grant(draft, policy) or answering.answer_requests(draft, policy):
        pass
    # 14. Tell the requests that still wait whether they wait for an approval.
    approvals.tell_waiting(draft)
    return draft.finish()


def admit(world: World) -> tuple[Change, ...]:
    """Admit new blocks, and decide nothing else."""
    draft = Draft(world)
    admission.admit_blocks(draft)
    return draft.finish()


def withdraw(world: World, claim_id: str) -> tuple[Change, ...]:
    """Fail the request that a claim waits for, and drop its reservations."""
    draft = Draft(world)
    claim = draft.open_claims.get(claim_id)
    current = None if claim is None else claim.current_request
    if claim is not None and current is not None:
        allocate_requests.fail(draft, claim, current[0], refusals.WITHDRAWN)
    return draft.finish()


def remove(world: World, block_id: str) -> tuple[Change, ...]:
    """Delete a block, and record what was committed on its data."""
    draft = Draft(world)
    deletion.delete(draft, draft.blocks[block_id])
    return draft.finish()


def _unlock_by_time(draft: Draft, policy: Policy, *, at_once: bool) -> None:
    """Unlock budget on each block for which a period has passed since the last time; on all blocks if `at_once`."""
    for block in list(draft.blocks.values()):
        due_ms = unlocking.next_ms(block, policy)
        if at_once or (due_ms is not None and draft.now_ms >= due_ms):
            with draft.isolated_block(block.id):
                _stage_if_changed(draft, block, unlocking.by_period(block, policy, now_ms=draft.now_ms))


def _stage_if_changed(draft: Draft, before: PrivateDataBlock, after: PrivateDataBlock) -> None:
    if after is not before:
        draft.stage_block(after)


def _grant(draft: Draft, policy: Policy) -> bool:
    """Run one scheduling decision and apply it; return whether it granted anything."""
    for block in list(draft.blocks.values()):
        if unlocking.has_locked_budget(block):
            with draft.isolated_block(block.id):
                _stage_if_changed(draft, block, unlocking.at_decision(block, policy, now_ms=draft.now_ms))
    return allocate_requests.grant(draft, _decide(draft, policy))


def _decide(draft: Draft, policy: Policy) -> tuple[GrantDecision, ...]:
    """Return what is granted now; a request on which a decision fails is set aside, and the others are decided."""
    snapshot = allocate_requests.snapshot(draft)
    try:
        return cycle.decide(snapshot, policy)
    except Exception:  # noqa: BLE001 - it is told below, as the fault of the requests that cause it
        for request in snapshot.waiting:
            with draft.isolated_claim(request.id.claim):
                cycle.decide(replace(snapshot, waiting=(request,)), policy)
        return cycle.decide(allocate_requests.snapshot(draft), policy)
