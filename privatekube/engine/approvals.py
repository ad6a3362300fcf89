"""Approvals of claims beyond a threshold: which requests wait for one, and what was decided.

A decision counts once the control plane has told the request that it waits for one, so that nobody can reject what
needs no approval. An approval is kept in the answer; what becomes of the approval itself then changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from privatekube.engine import quotas
from privatekube.engine.draft import Draft
from privatekube.resources import refusals
from privatekube.resources.approval import Decision
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import AllocateResponse, ResponseState
from privatekube.resources.wire import approvals


def decided(draft: Draft, claim: PrivacyBudgetClaim) -> tuple[int, AllocateResponse | Refusal] | None:
    """Return what approvers decided about a request that waits for it: its answer with the approval, or its refusal.

    A rejection counts whatever others approved. None if nothing is decided.
    """
    waiting = _waiting(claim)
    if waiting is None or waiting[1].awaits_approval is None:
        return None
    index, detail = waiting
    demand = approvals.demand_digest(claim, index)
    about = [item for item in draft.world.approvals if item.is_about(claim, index, demand)]
    in_order = sorted(about, key=lambda item: item.spec.decision is Decision.APPROVED)
    if not in_order:
        return None
    spec, time_ms = in_order[0].spec, in_order[0].meta.creation_time_ms
    record = ApprovalRecord(spec.approver, draft.now_ms if time_ms is None else time_ms, spec.reason)
    if spec.decision is Decision.REJECTED:
        return index, refusals.rejected(record)
    return index, replace(detail, awaits_approval=None, approval=record)


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
