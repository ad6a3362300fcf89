"""Finish or undo what an interrupted pass began.

A lock without an answer is finished with the locked amount, or waits; a lock of a successful answer is completed; a
lock whose answer is a failure is undone. What the lock of a deleted claim grants or commits stays charged: nobody can
tell any more whether that was answered, and the data read. Only a lock that names no owner, which PrivateKube wrote, is
undone as it is there. A claim that is created again under the name of a deleted one is another claim: it does not
inherit the locks.
"""

from __future__ import annotations

from privatekube.engine import allocate_requests
from privatekube.engine.draft import Draft
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import matching, responses, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.request_id import LockId, RequestId, SettlementId
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import ResponseState
from privatekube.scheduling.policy import Policy

_GRANTING = frozenset({LockState.ALLOCATING, LockState.DPF_ACQUIRING})
_CHARGING = _GRANTING | {LockState.COMMITTING}


def recover_locks(draft: Draft, policy: Policy) -> None:
    """Bring every lock and reservation in line with the answers, which are the decisions."""
    unfinished_grants: dict[RequestId, dict[str, PrivacyBudget]] = {}
    for block in list(draft.blocks.values()):
        if block.status is None or not (block.status.locks or block.status.reserved):
            continue
        for request_id, lock in block.status.locks.items():
            with draft.isolated_claim(request_id.claim):
                is_open = _resolve_lock(draft, block.id, request_id)
                if is_open and isinstance(request_id, RequestId) and lock.acquired is not None:
                    unfinished_grants.setdefault(request_id, {})[block.id] = lock.acquired
        with draft.isolated_block(block.id):
            _drop_stale_reservations(draft, block.id)
    for request_id, amounts in unfinished_grants.items():
        if request_id.claim in draft.world.unanswerable:
            continue
        with draft.isolated_claim(request_id.claim):
            _resolve_grant(draft, request_id, amounts, policy)


def _resolve_lock(draft: Draft, block_id: str, request_id: LockId) -> bool:
    """Complete or undo a lock if its request is answered or was deleted; return whether it is of an open grant."""
    block = draft.blocks.get(block_id)
    if block is None:
        return False
    if draft.is_set_aside(request_id.claim):
        _undo_unanswered(draft, block, request_id)
        return False
    claim = draft.claim(request_id.claim)
    lock = transitions.status_of(block).locks[request_id]
    if claim is None or not transitions.is_owned_by(lock, claim.meta.uid):
        _charge_lock(draft, block, request_id)
        return False
    is_decided = _is_decided(claim, request_id, block_id)
    if is_decided:
        draft.complete_lock(block, claim, request_id)
    elif is_decided is False:
        draft.stage_block(transitions.undo(block, request_id))
    return is_decided is None and lock.state in _GRANTING


def _undo_unanswered(draft: Draft, block: PrivateDataBlock, request_id: LockId) -> None:
    """Give back what is locked for a grant of which the store refuses every answer; its request continues to wait.

    The claim has no answer, and no write of an earlier version can give it one. The lock stays without the amount, and
    shows that the block has unlocked for the request.
    """
    claim, lock = draft.world.unanswered.get(request_id.claim), transitions.status_of(block).locks[request_id]
    if claim is None or lock.state not in _GRANTING or not transitions.is_owned_by(lock, claim.meta.uid):
        return
    if _is_decided(claim, request_id, block.id) is None:
        draft.stage_block(transitions.undo(block, request_id, keep_waiting=True))


def _charge_lock(draft: Draft, block: PrivateDataBlock, request_id: LockId) -> None:
    """Complete the lock of a deleted claim if it grants or commits; otherwise undo it, so that nothing is returned."""
    lock = transitions.status_of(block).locks[request_id]
    if lock.owner is not None and lock.acquired is not None and lock.state in _CHARGING:
        draft.complete_lock(block, None, request_id)
    else:
        draft.stage_block(transitions.undo(block, request_id))


def _is_decided(claim: PrivacyBudgetClaim, request_id: LockId, block_id: str) -> bool | None:
    """Return whether a claim's status has decided that a lock on a block is completed; None if that is still open.

    The lock of a settlement that is not decided is undone, since the claim may be settled in another way now.
    """
    if isinstance(request_id, SettlementId):
        settlement = claim.status.settlement
        return settlement is not None and block_id in settlement.budgets
    if request_id.index >= len(claim.spec.requests):
        return False
    response = claim.response_at(request_id.index)
    if response is None or response.state is ResponseState.PENDING:
        return None
    return response.state is ResponseState.SUCCESS and responses.covers(response, block_id)


def _resolve_grant(draft: Draft, request_id: RequestId, amounts: dict[str, PrivacyBudget], policy: Policy) -> None:
    """Answer a grant if all of its locks exist; otherwise undo the locks, and let the request wait.

    A request that was granted in the pass in which it arrived is accepted again first: each candidate block must have
    unlocked for it.
    """
    index = request_id.index
    claim = draft.open_claims.get(request_id.claim)  # an obstructed claim waits
    if claim is not None and claim.response_at(index) is None:
        request = claim.spec.requests[index].action
        assert isinstance(request, AllocateRequest)  # noqa: S101 - no other request has a lock that grants
        allocate_requests.accept(draft, claim, index, request, policy)
        claim = draft.open_claims.get(request_id.claim)
    response = None if claim is None else claim.response_at(index)
    if claim is None or response is None or response.state is not ResponseState.PENDING:
        return
    if len(amounts) >= _needed_blocks(draft, claim, index):
        allocate_requests.finish_grant(draft, claim, index, amounts)
        return
    for block_id in amounts:
        draft.stage_block(transitions.undo(draft.blocks[block_id], request_id, keep_waiting=True))


def _needed_blocks(draft: Draft, claim: PrivacyBudgetClaim, index: int) -> int:
    """Return how many blocks a waiting allocate request needs."""
    request = claim.spec.requests[index].action
    if not isinstance(request, AllocateRequest):
        return 0
    reserved = [block_id for block_id in claim.demand_at(index) if block_id in draft.blocks]
    candidates = reserved or draft.candidates(claim, request)
    return matching.needed(request, len(candidates))


def _drop_stale_reservations(draft: Draft, block_id: str) -> None:
    """Drop the reservations of claims that were deleted or no longer wait."""
    block = draft.blocks.get(block_id)
    if block is None or block.status is None:
        return
    reserved = block.status.reserved
    stale = {claim_id for claim_id in reserved if not draft.is_set_aside(claim_id) and not _is_waiting(draft, claim_id)}
    if stale:
        draft.stage_block(transitions.drop_reservations(block, stale))


def _is_waiting(draft: Draft, claim_id: str) -> bool:
    claim = draft.claim(claim_id)
    return claim is not None and claim.is_waiting
