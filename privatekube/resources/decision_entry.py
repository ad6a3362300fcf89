"""A decision about a claim above a threshold, as the ledger keeps it: who approved or rejected what, when and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from privatekube.resources.approval import Decision
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.request_id import RequestId
from privatekube.resources.requester import Requester
from privatekube.resources.wire import common, reader
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

RECORD = "decision"
"""The field that only an entry of a decision has."""


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """An approval or a rejection; it commits nothing.

    Args:
        identity: equal for every repetition of the same decision, so that it is entered once.
        time_ms: when it was entered, unix milliseconds.
        dataset: that the request is about.
        claim: id of the claim.
        claim_uid: tells the claim from others of its name; None where it is not known.
        request: id of the request that waited for the decision.
        demand: digest of what it requests, on which blocks; see `wire.approvals.demand_digest`.
        decision: approved or rejected.
        record: who decided, when, and why.
        requester: who requested the budget, and why, as the claim says.
        sequence: position in the ledger, from 1; 0 before it is entered.
        digest: of this entry and all before it; empty before it is entered.
    """

    identity: str
    time_ms: int
    dataset: str
    claim: str
    claim_uid: str | None
    request: RequestId
    demand: str
    decision: Decision
    record: ApprovalRecord
    requester: Requester = field(default_factory=Requester)
    sequence: int = 0
    digest: str = ""

    @property
    def reason(self) -> str:
        """`approved` or `rejected`, where an entry of an amount says why it was committed."""
        return str(self.decision)

    @property
    def words(self) -> str:
        """The decision, by whom and why, in words."""
        return f"{self.decision} by {self.record}"

    def to_json(self) -> Json:
        """Return the entry as JSON, without its digest."""
        return common.present(
            {
                "sequence": self.sequence,
                "identity": self.identity,
                "timeMs": self.time_ms,
                "dataset": self.dataset,
                "claim": self.claim,
                "claimUid": self.claim_uid,
                "request": str(self.request),
                "demand": self.demand,
                "reason": self.reason,
                RECORD: common.approval_to_wire(self.record),
                **common.requester_to_wire(self.requester),
            }
        )

    @classmethod
    def from_fields(cls, fields: Reader, digest: str) -> DecisionEntry:
        """Read what `to_json` wrote.

        Raises:
            InvalidInput: a field is missing or malformed; the message has its path.
        """
        return cls(
            identity=fields.text("identity"),
            time_ms=fields.whole("timeMs") or 0,
            dataset=fields.text("dataset"),
            claim=fields.text("claim"),
            claim_uid=fields.optional_text("claimUid"),
            request=RequestId.parse(fields.text("request")),
            demand=fields.text("demand"),
            decision=reader.member(Decision, fields, "reason"),
            record=common.read_approval(fields.child(RECORD)),
            requester=common.read_requester(fields),
            sequence=fields.whole("sequence") or 0,
            digest=digest,
        )
