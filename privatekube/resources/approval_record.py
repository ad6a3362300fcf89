"""Who approved a request above a threshold: what its answer and the ledger keep of an approval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """Who approved a request, when (unix milliseconds), and why.

    >>> str(ApprovalRecord("bob", 0, "the board agreed"))
    'bob: the board agreed'
    """

    approver: str
    time_ms: int
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.approver}: {self.reason}" if self.reason else self.approver
