"""Why a request failed, as a value; on the wire it is the text of the answer's error."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class RefusalReason(enum.StrEnum):
    """Why a request failed, in one word: the reason in conditions, Events and metrics."""

    TIMED_OUT = "TimedOut"
    WITHDRAWN = "Withdrawn"
    OVERDUE = "Overdue"
    REFUSED = "Refused"


_REASON_BY_WORD = {
    "timeout": RefusalReason.TIMED_OUT,
    "withdrawn": RefusalReason.WITHDRAWN,
    "settled": RefusalReason.OVERDUE,
}
"""Reasons by the first word of the text; every other text is a refusal."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, and the text that states it on the wire.

    >>> Refusal.parse("timeout").reason
    <RefusalReason.TIMED_OUT: 'TimedOut'>
    >>> str(Refusal.parse("blocks: 0 match"))
    'blocks: 0 match'
    """

    reason: RefusalReason
    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Refusal:
        """Read the text of an answer's error."""
        word, _, _ = text.partition(":")
        return cls(_REASON_BY_WORD.get(word, RefusalReason.REFUSED), text)


WITHDRAWN = Refusal.parse("withdrawn")
OVERDUE = Refusal.parse("settled: its time to settle is over")
TIMED_OUT = Refusal.parse("timeout")


def second_release(step: str) -> Refusal:
    """Return the refusal of another release of a step than the one that is registered."""
    return Refusal.parse(f"{step} has released something else; a second release is not paid for: start a new run")


def timed_out(cause: str) -> Refusal:
    """Return the refusal of a request that could not have been granted at any time, because of `cause`."""
    return Refusal.parse(f"{TIMED_OUT}: {cause}")
