"""Approve or reject a claim that waits for it: by somebody else than who requests it."""

from __future__ import annotations

import hashlib

from privatekube import errors, validation
from privatekube.resources import approval
from privatekube.resources.approval import ApprovalSpec, Decision, PrivacyBudgetApproval
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.wire import approvals
from privatekube.store.base import ResourceStore

_LONGEST_STEM = 200


def decide(store: ResourceStore, claim: PrivacyBudgetClaim, decision: Decision, reason: str | None) -> None:
    """Store what this user decides about a claim, for good.

    Raises:
        InvalidInput: it does not wait for an approval, this user may be who requests it, or the reason is not
            plain text.
        AlreadyExists: this user has decided about it before.
        NotServed: this user may not approve.
    """
    if reason is not None:
        validation.require_type("reason", reason, str)
    current, claim_id = claim.current_request, claim.id
    if current is None or not claim.awaits_approval:
        raise errors.InvalidInput(f"claim {claim_id}: waits for no approval; see privatekube explain {claim_id}")
    requester, approver = approval.creator(claim), store.user()
    if requester is None:
        raise errors.InvalidInput(f"claim {claim_id}: does not say who requests it; have it requested in another claim")
    if approval.is_same_person(approver, requester):
        raise errors.InvalidInput(
            f"claim {claim_id}: {requester} requests it, so {approver} cannot decide about it; "
            f"ask somebody else with the role {approval.ROLE}"
        )
    spec = ApprovalSpec(
        claim=claim.meta.name,
        claim_uid=claim.meta.uid,
        request=current[0],
        demand=approvals.demand_digest(claim, current[0]),
        requested_by=requester,
        approver=approver,
        decision=decision,
        reason=reason,
    )
    store.add_approval(PrivacyBudgetApproval(ObjectMeta(_name(claim, spec), claim.meta.namespace), spec))


def _name(claim: PrivacyBudgetClaim, spec: ApprovalSpec) -> str:
    """Return a name of its own for what one user decides about one request of one claim."""
    facts = "\n".join((spec.claim_uid, str(spec.request), spec.approver))
    return f"{claim.meta.name[:_LONGEST_STEM]}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
