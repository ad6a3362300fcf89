"""Ledger entries: what requests committed, what claims held on a deleted block, and what approvers decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from privatekube.resources import ledger, refusals, transitions
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.decision_entry import DecisionEntry
from privatekube.resources.ledger import Entry
from privatekube.resources.request_id import LockId, SettlementId
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, ConsumeRequest
from privatekube.resources.responses import AllocateResponse, ResponseState


def commit_entry(
    block: PrivateDataBlock, claim: PrivacyBudgetClaim | None, request_id: LockId, *, time_ms: int
) -> Entry | None:
    """Return the entry of what a consume request commits by its lock on a block; None if it commits nothing there."""
    lock = transitions.status_of(block).locks.get(request_id)
    if lock is None or lock.acquired is None or lock.state is not LockState.COMMITTING:
        return None
    mechanisms = _mechanisms(claim, request_id)
    identity = lock_identity(block, lock.owner, request_id)
    claim_id = request_id.claim
    entry = Entry(identity, time_ms, *_place(block), claim_id, request_id, lock.acquired, ledger.CONSUMED, mechanisms)
    approvals = _approvals(claim, block.id, uid=lock.owner)
    return replace(entry, claim_uid=lock.owner, requester=_requester(claim, uid=lock.owner), approvals=approvals)


def decision_entry(claim: PrivacyBudgetClaim, approval: PrivacyBudgetApproval, *, time_ms: int) -> DecisionEntry:
    """Return the entry of a decision about a request of a claim; its identity is the same for every repetition."""
    spec, decided_ms = approval.spec, approval.meta.creation_time_ms
    action = claim.spec.requests[spec.request].action
    parts = (spec.claim_uid, "decision", str(spec.request), spec.demand, str(spec.decision), spec.approver)
    return DecisionEntry(
        identity="/".join(parts),
        time_ms=time_ms,
        dataset=action.dataset if isinstance(action, AllocateRequest) else "",
        claim=claim.id,
        claim_uid=claim.meta.uid,
        request=claim.request_id(spec.request),
        demand=spec.demand,
        decision=spec.decision,
        record=ApprovalRecord(spec.approver, time_ms if decided_ms is None else decided_ms, spec.reason),
        requester=claim.requester,
    )


def is_of(entry: Entry, claim: PrivacyBudgetClaim) -> bool:
    """Return whether an entry is of a claim, and not of an earlier one of its name.

    An entry that does not say so may be of the claim unless it is older.
    """
    if entry.claim != claim.id:
        return False
    if entry.claim_uid is not None:
        return entry.claim_uid == claim.meta.uid
    return entry.time_ms >= (claim.meta.creation_time_ms or 0)


def _requester(claim: PrivacyBudgetClaim | None, *, uid: str | None) -> Requester:
    """Return who requested what is entered: nothing is known of a claim that is gone, whatever another one says."""
    return Requester() if claim is None or claim.meta.uid != uid else claim.requester


def _approvals(claim: PrivacyBudgetClaim | None, block_id: str, *, uid: str | None) -> tuple[ApprovalRecord, ...]:
    """Return who approved what a claim was granted on a block; nothing is known of a claim that is gone."""
    if claim is None or claim.meta.uid != uid:
        return ()
    details = [answer.detail for answer in claim.status.responses if answer.state is ResponseState.SUCCESS]
    answers = [detail for detail in details if isinstance(detail, AllocateResponse) and block_id in detail.budgets]
    return tuple(answer.approval for answer in answers if answer.approval is not None)


def _mechanisms(claim: PrivacyBudgetClaim | None, request_id: LockId) -> tuple[str, ...]:
    """Return what the ledger says about why an amount was committed; nothing is known of a claim that is gone."""
    if isinstance(request_id, SettlementId):
        return (str(refusals.OVERDUE),)
    if claim is None:
        return ()
    action = claim.spec.requests[request_id.index].action
    return action.mechanisms if isinstance(action, ConsumeRequest) else ()


def unsettled_entries(
    block: PrivateDataBlock, claim_of: Callable[[str], PrivacyBudgetClaim | None], time_ms: int
) -> Iterator[Entry]:
    """Yield what counts as committed once a block is deleted: what claims hold, and what none of its parts states.

    Args:
        block: the block.
        claim_of: returns the claim with an id; None if it does not exist.
        time_ms: of the entries, in unix milliseconds.
    """
    if block.status is None:
        return
    for claim_id, amount in block.status.acquired.items():
        identity = f"{block.meta.uid}/{ledger.UNSETTLED}/{claim_id}"
        claim = claim_of(claim_id)
        uid = claim.meta.uid if claim is not None and block.id in claim.status.acquired else None
        entry = Entry(identity, time_ms, *_place(block), claim_id, None, amount, ledger.UNSETTLED, claim_uid=uid)
        requester = Requester() if uid is None else _requester(claim, uid=uid)
        yield replace(entry, requester=requester, approvals=_approvals(claim, block.id, uid=uid) if uid else ())
    for request_id, lock in transitions.unfinished_locks(block).items():
        if lock.acquired is not None:
            identity = lock_identity(block, lock.owner, request_id)
            place = (*_place(block), request_id.claim, request_id)
            entry = Entry(identity, time_ms, *place, lock.acquired, ledger.UNSETTLED, claim_uid=lock.owner)
            claim = claim_of(request_id.claim)
            requester, approvals = _requester(claim, uid=lock.owner), _approvals(claim, block.id, uid=lock.owner)
            yield replace(entry, requester=requester, approvals=approvals)
    unstated = transitions.unstated_charge(block)
    if unstated is not None:
        identity = f"{block.meta.uid}/{ledger.UNSETTLED}/{transitions.INHERITED}"
        yield Entry(identity, time_ms, *_place(block), transitions.INHERITED, None, unstated, ledger.UNSETTLED)


def _place(block: PrivateDataBlock) -> tuple[str, str, str]:
    return block.spec.dataset, ledger.data_key(block), block.id


def lock_identity(block: PrivateDataBlock, owner: str | None, request_id: LockId) -> str:
    """Return the identity of the entry of what a lock commits."""
    return f"{block.meta.uid}/{owner}/{request_id}"
