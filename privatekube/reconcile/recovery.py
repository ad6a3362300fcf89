"""Finish or undo what a crash left half-done, and forget what was deleted.

A lock without an answer is finished with the locked amount, or waits on; a lock of a successful answer is completed; a
lock whose claim is gone or whose answer is a failure is undone. A claim made again under the name of a deleted one is
another claim: it does not inherit that one's locks.
"""

from __future__ import annotations

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import allocate_requests, block_admission
from privatekube.reconcile.pass_state import State
from privatekube.resources import matching, responses, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import ResponseState
from privatekube.scheduling.unlocking import UnlockingPolicy

_GRANTING = frozenset({LockState.ALLOCATING, LockState.DPF_ACQUIRING})


def admit(state: State) -> None:
    """Give new blocks a status: all of their budget is locked, but for what was committed on their data before.

    A block whose data has a block already, or had another budget before, is not admitted: nothing can be claimed on it.
    """
    new = [block for block in state.blocks.values() if block.status is None and not block.meta.is_deleted]
    admitted = block_admission.admitted(state.blocks.values()) if new else {}
    for block in new:
        try:
            record = block_admission.require_admissible(state.store, block, admitted)
        except (errors.InvalidBudget, errors.AlreadyExists):
            del state.blocks[block.id]
            continue
        for entry in () if record is None else record.unsettled:
            state.store.append(entry)
        state.write_block(transitions.initialize_status(block, {} if record is None else record.committed))
        admitted |= block_admission.admitted([state.blocks[block.id]])


def retire(state: State) -> None:
    """Record what was committed on the data of each block that is being deleted, and let it go."""
    for block in [each for each in state.blocks.values() if each.meta.is_deleted]:
        block_admission.remove(state.store, block, now_ms=state.now_ms)
        state.forget(block)


def recover(state: State, unlocking: UnlockingPolicy) -> None:
    """Bring every lock and reservation in line with the answers, which are the decisions."""
    half_granted: dict[str, dict[str, PrivacyBudget]] = {}
    for block in [each for each in state.blocks.values() if each.status is not None]:
        for request_id, lock in transitions.status_of(block).locks.items():
            amount = lock.acquired
            if not state.can_read(_split(request_id)[0]):
                continue
            if not _settle(state, block.id, request_id) and lock.state in _GRANTING and amount is not None:
                half_granted.setdefault(request_id, {})[block.id] = amount
        _drop_stale_reservations(state, state.blocks[block.id])
    for request_id, amounts in half_granted.items():
        _finish_grant(state, request_id, amounts, unlocking)


def _settle(state: State, block_id: str, request_id: str) -> bool:
    """Complete or undo one lock whose request is answered or gone; False where it is neither."""
    block = state.blocks[block_id]
    claim_id, index = _split(request_id)
    claim = state.claim(claim_id)
    lock = transitions.status_of(block).locks[request_id]
    if claim is None or index >= len(claim.spec.requests) or not transitions.is_owned_by(lock, claim.meta.uid):
        state.write_block(transitions.undo(block, claim_id, request_id))
        return True
    response = claim.response_at(index)
    if response is None or response.state is ResponseState.PENDING:
        return False
    if response.state is ResponseState.SUCCESS and responses.covers(response, block_id):
        state.complete(block, claim, request_id)
    else:
        state.write_block(transitions.undo(block, claim_id, request_id))
    return True


def _finish_grant(state: State, request_id: str, amounts: dict[str, PrivacyBudget], unlocking: UnlockingPolicy) -> None:
    """Answer a grant whose locks are all there; otherwise take it back, and let the request wait on.

    A request that was granted on arrival arrives again first: each candidate must have unlocked for it.
    """
    claim_id, index = _split(request_id)
    claim = state.open_claims.get(claim_id)  # one that is set aside stays as it is
    if claim is not None and claim.response_at(index) is None:
        request = claim.spec.requests[index].action
        assert isinstance(request, AllocateRequest)  # noqa: S101 - no other has a lock that grants
        allocate_requests.arrive(state, claim, index, request, unlocking)
        claim = state.open_claims.get(claim_id)
    answer = None if claim is None else claim.response_at(index)
    if claim is None or answer is None or answer.state is not ResponseState.PENDING:
        return
    if len(amounts) >= _needed(state, claim, index):
        allocate_requests.answer_granted(state, claim, index, amounts)
        return
    for block_id in amounts:
        state.write_block(transitions.undo(state.blocks[block_id], claim_id, request_id, keep_waiting=True))


def _needed(state: State, claim: PrivacyBudgetClaim, index: int) -> int:
    request = claim.spec.requests[index].action
    if not isinstance(request, AllocateRequest):
        return 0
    demands = [block_id for block_id in allocate_requests.demand_of(claim, index) if block_id in state.blocks]
    found = len(demands) or len(matching.candidates(request, claim.meta.namespace, state.blocks.values()))
    return matching.needed(request, found)


def _drop_stale_reservations(state: State, block: PrivateDataBlock) -> None:
    """Reservations of claims that are gone or do not wait any more."""
    reserved = transitions.status_of(block).reserved
    stale = {claim_id for claim_id in reserved if state.can_read(claim_id) and not _waits(state.claim(claim_id))}
    if stale:
        state.write_block(transitions.drop_reservations(block, stale))


def _waits(claim: PrivacyBudgetClaim | None) -> bool:
    return claim is not None and claim.current_request is not None


def _split(request_id: str) -> tuple[str, int]:
    claim_id, _, index = request_id.rpartition("/")
    return claim_id, int(index)
