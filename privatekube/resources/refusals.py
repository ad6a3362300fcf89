"""Why a request failed, as a value; on the wire it is the text of the answer's error."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.approval_record import ApprovalRecord


class RefusalReason(enum.StrEnum):
    """Why a request failed, in one word: the reason in conditions, Events and metrics."""

    TIMED_OUT = "TimedOut"
    DEADLINE_PASSED = "DeadlinePassed"
    WITHDRAWN = "Withdrawn"
    OVERDUE = "Overdue"
    REJECTED = "Rejected"
    REFUSED = "Refused"


_REASON_BY_WORD = {
    "timeout": RefusalReason.TIMED_OUT,
    "deadline": RefusalReason.DEADLINE_PASSED,
    "withdrawn": RefusalReason.WITHDRAWN,
    "settled": RefusalReason.OVERDUE,
    "rejected": RefusalReason.REJECTED,
}
"""Reasons by the first word of the text; every other text is a refusal."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, and the text that states it on the wire: the reason is read from its first word.

    >>> Refusal.of("blocks: 0 match").reason
    <RefusalReason.REFUSED: 'Refused'>
    >>> str(Refusal.of("timeout: -1 is below 0"))
    'refused: timeout: -1 is below 0'
    """

    reason: RefusalReason
    text: str

    def __post_init__(self) -> None:
        read = _reason_of(self.text)
        if self.reason is not read:
            raise errors.invalid("refusal", self.text, f"is read as {read}, not as {self.reason}", "begin it otherwise")

    def __str__(self) -> str:
        return self.text

    @property
    def cause(self) -> str:
        """What the text says beside its reason; empty if it says nothing more.

        >>> TIMED_OUT.cause, timed_out("blocks: 0 match").cause
        ('', 'blocks: 0 match')
        """
        return self.text if self.reason is RefusalReason.REFUSED else self.text.partition(": ")[2]

    @classmethod
    def of(cls, text: str) -> Refusal:
        """Return the refusal of a request that was decided against, whatever the first word of the text is."""
        reason = RefusalReason.REFUSED
        return cls(reason, text if _reason_of(text) is reason else f"refused: {text}")

    @classmethod
    def parse(cls, text: str) -> Refusal:
        """Read the text of an answer's error."""
        return cls(_reason_of(text), text)


def _reason_of(text: str) -> RefusalReason:
    return _REASON_BY_WORD.get(text.partition(":")[0], RefusalReason.REFUSED)


WITHDRAWN = Refusal(RefusalReason.WITHDRAWN, "withdrawn")
OVERDUE = Refusal(RefusalReason.OVERDUE, "settled: its time to settle is over")
TIMED_OUT = Refusal(RefusalReason.TIMED_OUT, "timeout")
UNWRITABLE = Refusal(
    RefusalReason.REFUSED, "the store refuses any other answer; write less in the claim, and ask again"
)


def second_release(step: str) -> Refusal:
    """Return the refusal of another release of a step than the one that is registered."""
    return Refusal.of(f"{step} has released something else; a second release is not paid for: start a new run")


def rejected(approval: ApprovalRecord) -> Refusal:
    """Return the refusal of a request that an approver rejected."""
    return Refusal(RefusalReason.REJECTED, f"rejected: by {approval}")


def timed_out(cause: str) -> Refusal:
    """Return the refusal of a request that was not granted in its time, because of `cause`."""
    return Refusal(RefusalReason.TIMED_OUT, f"{TIMED_OUT}: {cause}")


def deadline_passed(deadline_ms: int) -> Refusal:
    """Return the refusal of a request of a claim whose results are useless by now; times are unix milliseconds.

    >>> str(deadline_passed(0))
    'deadline: 1970-01-01T00:00:00Z has passed'
    """
    return Refusal(RefusalReason.DEADLINE_PASSED, f"deadline: {meta.format_time(deadline_ms)} has passed")
