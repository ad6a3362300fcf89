"""Admit new blocks, finish or undo what an interrupted pass began, and delete blocks.

A lock without an answer is finished with the locked amount, or waits; a lock of a successful answer is completed; a
lock whose claim was deleted or whose answer is a failure is undone. A claim that is created again under the name of a
deleted one is another claim: it does not inherit the locks.
"""

from __future__ import annotations

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import allocate_requests, block_admission, earlier_data
from privatekube.reconcile.earlier_data import Catalogue
from privatekube.reconcile.pass_state import PassState
from privatekube.resources import matching, responses, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import ResponseState
from privatekube.resources.retired_data import RetiredData
from privatekube.scheduling.policy import Policy

_GRANTING = frozenset({LockState.ALLOCATING, LockState.DPF_ACQUIRING})


def admit_blocks(state: PassState) -> None:
    """Give blocks without a status one: all of their budget is locked, except what was committed on their data before.

    Such a block is new, or its status was lost. A block with data of another block, or with data that had another
    budget before, is not admitted: nothing can be claimed on it.
    """
    new_blocks = [block for block in state.blocks.values() if block.status is None and not block.meta.is_deleted]
    if not new_blocks:
        return
    catalogue = Catalogue.of_admitted(state.store, state.blocks.values())
    admissible: list[tuple[PrivateDataBlock, list[RetiredData]]] = []
    for block in new_blocks:
        try:
            admissible.append((block, block_admission.require_admissible(block, catalogue)))
        except (errors.InvalidBudget, errors.AlreadyExists):
            del state.blocks[block.id]
        else:
            catalogue.add([block])
    if admissible:
        _initialize_statuses(state, admissible)


def _initialize_statuses(state: PassState, admissible: list[tuple[PrivateDataBlock, list[RetiredData]]]) -> None:
    """Give blocks their first status, given the records of deleted blocks that had their data; see `earlier_data`."""
    for _, records in admissible:
        for unsettled in (entry for record in records for entry in record.unsettled):
            state.store.append(unsettled)
    entries, claims = list(state.store.ledger()), state.store.list_claims()
    for block, records in admissible:
        try:
            lost = list(earlier_data.lost_holdings(block, entries, claims, state.now_ms))
            inheritance = earlier_data.inherited(block, records, [*entries, *lost])
        except errors.InvalidBudget:
            del state.blocks[block.id]
            continue
        inherited = inheritance.entry(block, state.now_ms)
        for entry in [*lost, *([] if inherited is None else [inherited])]:
            state.store.append(entry)
        state.stage_block(transitions.initialize_status(block, inheritance.committed))


def delete_blocks(state: PassState) -> None:
    """Delete each block that is marked for deletion, and record what was committed on its data."""
    for block in list(state.blocks.values()):
        if block.meta.is_deleted:
            block_admission.remove(state.store, block, now_ms=state.now_ms)
            state.drop_block(block)


def recover_locks(state: PassState, policy: Policy) -> None:
    """Bring every lock and reservation in line with the answers, which are the decisions."""
    unfinished_grants: dict[RequestId, dict[str, PrivacyBudget]] = {}
    for block in list(state.blocks.values()):
        if block.status is None:
            continue
        for request_id, lock in block.status.locks.items():
            if not state.is_readable(request_id.claim):
                continue
            is_resolved = _resolve_lock(state, block.id, request_id)
            if not is_resolved and lock.state in _GRANTING and lock.acquired is not None:
                unfinished_grants.setdefault(request_id, {})[block.id] = lock.acquired
        _drop_stale_reservations(state, state.blocks[block.id])
    for request_id, amounts in unfinished_grants.items():
        _resolve_grant(state, request_id, amounts, policy)


def _resolve_lock(state: PassState, block_id: str, request_id: RequestId) -> bool:
    """Complete or undo a lock if its request is answered or was deleted; return whether it was either."""
    block = state.blocks[block_id]
    claim = state.claim(request_id.claim)
    lock = transitions.status_of(block).locks[request_id]
    has_request = claim is not None and request_id.index < len(claim.spec.requests)
    if claim is None or not has_request or not transitions.is_owned_by(lock, claim.meta.uid):
        state.stage_block(transitions.undo(block, request_id))
        return True
    response = claim.response_at(request_id.index)
    if response is None or response.state is ResponseState.PENDING:
        return False
    if response.state is ResponseState.SUCCESS and responses.covers(response, block_id):
        state.complete_lock(block, claim, request_id)
    else:
        state.stage_block(transitions.undo(block, request_id))
    return True


def _resolve_grant(state: PassState, request_id: RequestId, amounts: dict[str, PrivacyBudget], policy: Policy) -> None:
    """Answer a grant if all of its locks exist; otherwise undo the locks, and let the request wait.

    A request that was granted in the pass in which it arrived is accepted again first: each candidate block must have
    unlocked for it.
    """
    index = request_id.index
    claim = state.open_claims.get(request_id.claim)  # a quarantined claim is left unchanged
    if claim is not None and claim.response_at(index) is None:
        request = claim.spec.requests[index].action
        assert isinstance(request, AllocateRequest)  # noqa: S101 - no other request has a lock that grants
        allocate_requests.accept(state, claim, index, request, policy)
        claim = state.open_claims.get(request_id.claim)
    response = None if claim is None else claim.response_at(index)
    if claim is None or response is None or response.state is not ResponseState.PENDING:
        return
    if len(amounts) >= _needed_blocks(state, claim, index):
        allocate_requests.finish_grant(state, claim, index, amounts)
        return
    for block_id in amounts:
        state.stage_block(transitions.undo(state.blocks[block_id], request_id, keep_waiting=True))


def _needed_blocks(state: PassState, claim: PrivacyBudgetClaim, index: int) -> int:
    """Return how many blocks a waiting allocate request needs."""
    request = claim.spec.requests[index].action
    if not isinstance(request, AllocateRequest):
        return 0
    reserved = [block_id for block_id in allocate_requests.demand_of(claim, index) if block_id in state.blocks]
    candidates = reserved or matching.candidates(request, claim.meta.namespace, state.blocks.values())
    return matching.needed(request, len(candidates))


def _drop_stale_reservations(state: PassState, block: PrivateDataBlock) -> None:
    """Drop the reservations of claims that were deleted or no longer wait."""
    reserved = transitions.status_of(block).reserved
    stale = {claim_id for claim_id in reserved if state.is_readable(claim_id) and not _is_waiting(state, claim_id)}
    if stale:
        state.stage_block(transitions.drop_reservations(block, stale))


def _is_waiting(state: PassState, claim_id: str) -> bool:
    claim = state.claim(claim_id)
    return claim is not None and claim.is_waiting
