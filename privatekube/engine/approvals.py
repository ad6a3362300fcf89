"""Approvals of claims beyond a threshold: which requests wait for one, and what was decided.

A decision counts once the control plane has told the request that it waits for one, so that nobody can reject what
needs no approval. It is entered in the ledger, and an approval is kept in the answer, too; what becomes of the approval
itself then changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from privatekube.engine import allocate_requests, ledger_entries, quotas
from privatekube.engine.changes import LedgerEntry
from privatekube.engine.draft import Draft
from privatekube.resources import refusals
from privatekube.resources.approval import Decision, PrivacyBudgetApproval
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.decision_entry import DecisionEntry
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import AllocateResponse, ResponseState
from privatekube.resources.wire import approvals


def take_decisions(draft: Draft) -> None:
    """Enter what approvers decided about the requests that wait for it, then answer: approved, or failed."""
    for claim in list(draft.open_claims.values()):
        with draft.isolated_claim(claim.id):
            waiting = _waiting(claim)
            approval = None if waiting is None else _decision(draft, claim, *waiting)
            if waiting is not None and approval is not None:
                entry = ledger_entries.decision_entry(claim, approval, time_ms=draft.now_ms)
                draft.add(LedgerEntry(entry))
                _answer(draft, claim, waiting[1], entry)


def _decision(
    draft: Draft, claim: PrivacyBudgetClaim, index: int, detail: AllocateResponse
) -> PrivacyBudgetApproval | None:
    """Return what was decided about a request that waits for it: a rejection, whatever others approved.

    None if nothing is decided.
    """
    if detail.awaits_approval is None:
        return None
    demand = approvals.demand_digest(claim, index)
    about = [item for item in draft.world.approvals if item.is_about(claim, index, demand)]
    return min(about, key=lambda item: item.spec.decision is Decision.APPROVED, default=None)


def _answer(draft: Draft, claim: PrivacyBudgetClaim, detail: AllocateResponse, entry: DecisionEntry) -> None:
    if entry.decision is Decision.REJECTED:
        allocate_requests.fail(draft, claim, entry.request.index, refusals.rejected(entry.record))
    else:
        approved = replace(detail, awaits_approval=None, approval=entry.record)
        draft.answer(claim, entry.request.index, ResponseState.PENDING, detail=approved)


def tell_waiting(draft: Draft) -> None:
    """Tell each request that waits whether it waits for an approval, which is none of its own doing to change."""
    thresholds = [quota for quota in draft.world.quotas if quota.is_threshold]
    known = {quota.id: quotas.room_of(draft, quota) for quota in thresholds}
    for claim in list(draft.open_claims.values()):
        waiting = _waiting(claim)
        if waiting is None or (not thresholds and waiting[1].awaits_approval is None):
            continue
        with draft.isolated_claim(claim.id):
            index, detail = waiting
            needs = any(quotas.is_beyond(claim, index, quota, known[quota.id]) for quota in thresholds)
            awaits = approvals.demand_digest(claim, index) if needs and detail.approval is None else None
            if awaits != detail.awaits_approval:
                told = replace(detail, awaits_approval=awaits)
                draft.answer(claim, index, ResponseState.PENDING, detail=told)


def _waiting(claim: PrivacyBudgetClaim) -> tuple[int, AllocateResponse] | None:
    """Return the index of the request that a claim waits for, and its answer so far."""
    current: tuple[int, Request] | None = claim.current_request
    response = None if current is None else claim.response_at(current[0])
    if current is None or response is None or not isinstance(current[1].action, AllocateRequest):
        return None
    return (current[0], response.detail) if isinstance(response.detail, AllocateResponse) else None
