"""The wire form of PrivacyBudgetApproval, and the digest of the demand that it is about."""

from __future__ import annotations

import hashlib
import json

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.approval import ApprovalSpec, Decision, PrivacyBudgetApproval
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import claims, common, reader
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

KIND = "PrivacyBudgetApproval"


def demand_digest(claim: PrivacyBudgetClaim, index: int) -> str:
    """Return the digest of a waiting request and of what it has reserved on which block."""
    document = [claims.request_to_wire(claim.spec.requests[index]), common.budgets_to_wire(claim.demand_at(index))]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def from_wire(document: object) -> PrivacyBudgetApproval:
    """Read an approval.

    Raises:
        InvalidInput: a field is missing or malformed; the message has its path.
    """
    whole = Reader(document, "")
    spec = whole.child("spec")
    index = spec.whole("request")
    if index is None:
        raise errors.InvalidInput("spec.request: is missing; give the index of the request")
    return PrivacyBudgetApproval(
        common.meta_from_wire(whole.child("metadata")),
        ApprovalSpec(
            claim=spec.text("claim"),
            claim_uid=spec.text("claimUid"),
            request=index,
            demand=spec.text("demand"),
            requested_by=spec.text("requestedBy"),
            approver=spec.text("approver"),
            decision=reader.member(Decision, spec, "decision"),
            reason=spec.optional_text("reason"),
        ),
    )


def from_store(document: object) -> PrivacyBudgetApproval | None:
    """Read a stored approval; None if it cannot be read, so that it approves nothing."""
    try:
        return from_wire(document)
    except errors.InvalidInput:
        return None


def to_wire(item: PrivacyBudgetApproval) -> Json:
    """Return an approval as JSON."""
    spec = item.spec
    fields: Json = {"claim": spec.claim, "claimUid": spec.claim_uid, "request": spec.request, "demand": spec.demand}
    fields |= {"requestedBy": spec.requested_by, "approver": spec.approver, "decision": str(spec.decision)}
    return {
        "apiVersion": meta.API_VERSION,
        "kind": KIND,
        "metadata": common.meta_to_wire(item.meta),
        "spec": common.present({**fields, "reason": spec.reason}),
    }
