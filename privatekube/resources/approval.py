"""PrivacyBudgetApproval: what somebody else decided about a claim above a threshold; it never changes."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from privatekube import errors, plain_text
from privatekube.resources import bounds, meta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requester import PURPOSE, USER

ROLE = "privatekube-approver"
"""The ClusterRole of those who may approve."""
REASON = PURPOSE
"""Characters of a reason."""
_ACCOUNTS = "system:serviceaccount:"
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


class Decision(enum.StrEnum):
    """What an approver decided."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ApprovalSpec:
    """A decision about one request of one claim.

    Args:
        claim: name of the claim, in the namespace of the approval.
        claim_uid: of the claim: another one of its name needs its own approval.
        request: index of the request.
        demand: digest of what it requests, on which blocks; see `wire.approvals.demand_digest`.
        requested_by: the user who created the claim, who must be somebody else than the approver.
        approver: the user who decides; in a cluster the authenticated one, which the API server checks.
        decision: approved or rejected.
        reason: one line of plain text; None if it is not stated.
    """

    claim: str
    claim_uid: str
    request: int
    demand: str
    requested_by: str
    approver: str
    decision: Decision
    reason: str | None = None

    def __post_init__(self) -> None:
        for name, text, most in (
            ("claim", self.claim, bounds.NAME),
            ("claimUid", self.claim_uid, bounds.NAME),
            ("requestedBy", self.requested_by, USER),
            ("approver", self.approver, USER),
            ("reason", self.reason, REASON),
        ):
            bounds.require_text(name, text, most, least=1)
            if text is not None and not plain_text.is_plain(text):
                raise errors.invalid(name, text, "has a character that is not plain text", "leave it out")
        if not 0 <= self.request < bounds.REQUESTS:
            raise errors.invalid("request", self.request, f"must be 0 to {bounds.REQUESTS - 1}", "change it")
        if not _DIGEST.fullmatch(self.demand):
            raise errors.invalid("demand", self.demand, "must be sha256: and 64 hexadecimal digits", "change it")
        if is_same_person(self.approver, self.requested_by):
            raise errors.invalid("approver", self.approver, "requested the claim", "have somebody else decide")


@dataclass(frozen=True, slots=True)
class PrivacyBudgetApproval:
    """An approval or a rejection; it is about a claim of its namespace."""

    meta: meta.ObjectMeta
    spec: ApprovalSpec

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return self.meta.id

    def is_about(self, claim: PrivacyBudgetClaim, index: int, demand: str) -> bool:
        """Return whether it decides about a request of a claim, by somebody else than who created the claim."""
        spec = self.spec
        stated = (self.meta.namespace, spec.claim, spec.claim_uid, spec.request, spec.demand, spec.requested_by)
        actual = (claim.meta.namespace, claim.meta.name, claim.meta.uid, index, demand, creator(claim))
        return stated == actual and not is_same_person(spec.approver, spec.requested_by)


def creator(claim: PrivacyBudgetClaim) -> str | None:
    """Return who created a claim, as an API server has recorded it, or else as the claim says; None if unknown.

    A claim whose creator is unknown cannot be approved: nobody can tell whether it is by somebody else.
    """
    return claim.meta.annotations.get(meta.CREATED_BY) or claim.spec.requester.user


def is_same_person(user: str, other: str) -> bool:
    """Return whether one person may be behind both users.

    Anybody who may run pods in a namespace may use all of its service accounts.

    >>> is_same_person("system:serviceaccount:ads:a", "system:serviceaccount:ads:b"), is_same_person("ann", "bob")
    (True, False)
    """
    namespace = accounts_of(user)
    return user == other or (namespace is not None and namespace == accounts_of(other))


def accounts_of(user: str) -> str | None:
    """Return the namespace of a service account; None of another user."""
    namespace, _, name = user.removeprefix(_ACCOUNTS).partition(":")
    return namespace if user.startswith(_ACCOUNTS) and name else None
