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
from privatekube.resources.responses import AllocateResponse, ResponseState
from privatekube.resources.wire import approvals


def take_decisions(draft: Draft) -> None:
    """Enter what approvers decided about the requests that wait for it, then answer: approved, or failed."""
    for claim in list(draft.open_claims.values()):
        with draft.isolated_claim(claim.id):
            waiting = allocate_requests.waiting_request(claim)
            if waiting is None:
                continue
            index, _, detail = waiting
            approval = _decision(draft, claim, index, detail)
            if approval is not None:
                entry = ledger_entries.decision_entry(claim, approval, time_ms=draft.now_ms)
                draft.add(LedgerEntry(entry))
                _answer(draft, claim, detail, entry)


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
    """Tell each request that waits whether it waits for an approval."""
    thresholds = [quota for quota in draft.world.quotas if quota.is_threshold]
    known = {quota.id: quotas.room_of(draft, quota) for quota in thresholds}
    for claim in list(draft.open_claims.values()):
        waiting = allocate_requests.waiting_request(claim)
        if waiting is None:
            continue
        index, _, detail = waiting
        if not thresholds and detail.awaits_approval is None:
            continue
        with draft.isolated_claim(claim.id):
            needs = any(quotas.is_beyond(claim, index, quota, known[quota.id]) for quota in thresholds)
            awaits = approvals.demand_digest(claim, index) if needs and detail.approval is None else None
            if awaits != detail.awaits_approval:
                told = replace(detail, awaits_approval=awaits)
                draft.answer(claim, index, ResponseState.PENDING, detail=told)
