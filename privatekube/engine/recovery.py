"""Finish or undo what an interrupted pass began.

A lock without an answer is finished with the locked amount, or waits; a lock of a successful answer is completed; a
lock whose claim was deleted or whose answer is a failure is undone. A claim that is created again under the name of a
deleted one is another claim: it does not inherit the locks.
"""

from __future__ import annotations

from privatekube.engine import allocate_requests
from privatekube.engine.draft import Draft
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import matching, responses, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import ResponseState
from privatekube.scheduling.policy import Policy

_GRANTING = frozenset({LockState.ALLOCATING, LockState.DPF_ACQUIRING})


def recover_locks(draft: Draft, policy: Policy) -> None:
    """Bring every lock and reservation in line with the answers, which are the decisions."""
    unfinished_grants: dict[RequestId, dict[str, PrivacyBudget]] = {}
    for block in list(draft.blocks.values()):
        if block.status is None:
            continue
        for request_id, lock in block.status.locks.items():
            if not draft.is_readable(request_id.claim):
                continue
            is_resolved = _resolve_lock(draft, block.id, request_id)
            if not is_resolved and lock.state in _GRANTING and lock.acquired is not None:
                unfinished_grants.setdefault(request_id, {})[block.id] = lock.acquired
        _drop_stale_reservations(draft, draft.blocks[block.id])
    for request_id, amounts in unfinished_grants.items():
        _resolve_grant(draft, request_id, amounts, policy)


def _resolve_lock(draft: Draft, block_id: str, request_id: RequestId) -> bool:
    """Complete or undo a lock if its request is answered or was deleted; return whether it was either."""
    block = draft.blocks[block_id]
    claim = draft.claim(request_id.claim)
    lock = transitions.status_of(block).locks[request_id]
    has_request = claim is not None and request_id.index < len(claim.spec.requests)
    if claim is None or not has_request or not transitions.is_owned_by(lock, claim.meta.uid):
        draft.stage_block(transitions.undo(block, request_id))
        return True
    response = claim.response_at(request_id.index)
    if response is None or response.state is ResponseState.PENDING:
        return False
    if response.state is ResponseState.SUCCESS and responses.covers(response, block_id):
        draft.complete_lock(block, claim, request_id)
    else:
        draft.stage_block(transitions.undo(block, request_id))
    return True


def _resolve_grant(draft: Draft, request_id: RequestId, amounts: dict[str, PrivacyBudget], policy: Policy) -> None:
    """Answer a grant if all of its locks exist; otherwise undo the locks, and let the request wait.

    A request that was granted in the pass in which it arrived is accepted again first: each candidate block must have
    unlocked for it.
    """
    index = request_id.index
    claim = draft.open_claims.get(request_id.claim)  # a quarantined claim is left unchanged
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
    reserved = [block_id for block_id in allocate_requests.demand_of(claim, index) if block_id in draft.blocks]
    candidates = reserved or matching.candidates(request, claim.meta.namespace, draft.blocks.values())
    return matching.needed(request, len(candidates))


def _drop_stale_reservations(draft: Draft, block: PrivateDataBlock) -> None:
    """Drop the reservations of claims that were deleted or no longer wait."""
    reserved = transitions.status_of(block).reserved
    stale = {claim_id for claim_id in reserved if draft.is_readable(claim_id) and not _is_waiting(draft, claim_id)}
    if stale:
        draft.stage_block(transitions.drop_reservations(block, stale))


def _is_waiting(draft: Draft, claim_id: str) -> bool:
    claim = draft.claim(claim_id)
    return claim is not None and claim.is_waiting
