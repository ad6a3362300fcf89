"""What a lock is of: a request of a claim, or the settlement of an overdue claim, which answers no request."""

from __future__ import annotations

import re
from dataclasses import dataclass

from privatekube import errors

_SETTLEMENT = "settlement"
_FORM = re.compile(r"(?P<claim>[^/]+/[^/]+)/(?P<index>0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class RequestId:
    """Names one entry of a claim's spec.requests; the text form is `namespace/claim/index`.

    Args:
        claim: id of the claim, `namespace/name`.
        index: position of the request in spec.requests, from 0.

    >>> str(RequestId("ns/train", 1))
    'ns/train/1'
    >>> RequestId.parse("ns/train/1")
    RequestId(claim='ns/train', index=1)
    """

    claim: str
    index: int

    def __str__(self) -> str:
        return f"{self.claim}/{self.index}"

    @classmethod
    def parse(cls, text: str) -> RequestId:
        """Read the text form.

        Raises:
            InvalidInput: the text has another form.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise errors.invalid("request id", text, "must be namespace/claim/index", "write it like ns/train/0")
        return cls(match["claim"], int(match["index"]))


@dataclass(frozen=True, slots=True)
class SettlementId:
    """Names the settlement of a claim by the control plane; the text form is `namespace/claim/settlement`.

    Args:
        claim: id of the claim, `namespace/name`.

    >>> parse_lock_id(str(SettlementId("ns/train")))
    SettlementId(claim='ns/train')
    """

    claim: str

    def __str__(self) -> str:
        return f"{self.claim}/{_SETTLEMENT}"


LockId = RequestId | SettlementId
"""What a lock is of."""


def parse_lock_id(text: str) -> LockId:
    """Read the text form of either id.

    Raises:
        InvalidInput: the text has another form.
    """
    claim, _, last = text.rpartition("/")
    if last == _SETTLEMENT and claim.count("/") == 1:
        return SettlementId(claim)
    return RequestId.parse(text)
