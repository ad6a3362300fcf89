"""Refusals: their reasons, and their form on the wire."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.resources import refusals
from privatekube.resources.refusals import Refusal, RefusalReason
from privatekube.resources.responses import Response, ResponseState
from privatekube.resources.wire import responses
from privatekube.resources.wire.reader import Reader


@pytest.mark.parametrize(
    ("refusal", "text", "reason"),
    [
        (refusals.TIMED_OUT, "timeout", RefusalReason.TIMED_OUT),
        (refusals.timed_out("demand on ns/b"), "timeout: demand on ns/b", RefusalReason.TIMED_OUT),
        (refusals.WITHDRAWN, "withdrawn", RefusalReason.WITHDRAWN),
        (refusals.OVERDUE, "settled: its time to settle is over", RefusalReason.OVERDUE),
        (Refusal.of("blocks: 0 match"), "blocks: 0 match", RefusalReason.REFUSED),
        (Refusal.of("timeout: -1 is below 0"), "refused: timeout: -1 is below 0", RefusalReason.REFUSED),
        (
            refusals.second_release("withdrawn: x"),
            "refused: withdrawn: x has released something else; a second release is not paid for: start a new run",
            RefusalReason.REFUSED,
        ),
    ],
)
def test_a_refusal_is_its_text_on_the_wire_and_keeps_its_reason(
    refusal: Refusal, text: str, reason: RefusalReason
) -> None:
    wire = responses.to_wire(Response("0", ResponseState.FAILURE, refusal))
    assert wire == {"identifier": "0", "state": "failure", "error": text}
    read = responses.from_wire(Reader(wire, "response")).refusal
    assert read == refusal
    assert refusal.reason is reason


def test_a_text_that_is_read_as_another_reason_is_no_refusal_for_this_one() -> None:
    with pytest.raises(errors.InvalidInput, match="refusal: 'timeout' is read as TimedOut, not as Refused"):
        Refusal(RefusalReason.REFUSED, "timeout")
