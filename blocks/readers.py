"""Read a line of a UCSD review file: JSON in the layout of 2014 and 2018, or of 2023."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from blocks import markup
from blocks.record import Record

TOKENISER = "lower-case [a-z]+ of HTML as plain text"
NOT_JSON = "not JSON"

_FIRST_SECOND = int(datetime(1995, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) - 1
"""No review is older than the shop; a time outside is another unit, or damaged."""

Value = TypeVar("Value")


class NotAReview(Exception):  # noqa: N818 - not an error: every file has such lines
    """A line is not a review.

    Args:
        reason: names the field, and holds nothing of the line.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of the fields.

    Args:
        product: the names of which the first one that is there counts.
        seconds: how many of the field's units of time are a second.
    """

    user: str
    product: tuple[str, ...]
    stars: str
    time: str
    seconds: int
    summary: str
    text: str


_LAYOUTS = (
    _Layout("reviewerID", ("asin",), "overall", "unixReviewTime", 1, "summary", "reviewText"),
    _Layout("user_id", ("parent_asin", "asin"), "rating", "timestamp", 1000, "title", "text"),
)


def record(line: bytes, category: str) -> Record:
    """Return the review of a line.

    Raises:
        NotAReview: not JSON, of neither layout, or a field is missing or out of its range.
    """
    try:
        fields = json.loads(line, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise NotAReview(NOT_JSON) from None
    layout = next((layout for layout in _LAYOUTS if isinstance(fields, dict) and layout.user in fields), None)
    if layout is None:
        raise NotAReview(f"neither {_LAYOUTS[0].user} nor {_LAYOUTS[1].user}")
    return Record(
        user=_value(fields, (layout.user,), _text),
        product=_value(fields, layout.product, _text),
        category=category,
        stars=_value(fields, (layout.stars,), _stars),
        time=_value(fields, (layout.time,), lambda value: _time(value, layout.seconds)),
        summary=_value(fields, (layout.summary,), _plain),
        text=_value(fields, (layout.text,), _plain),
    )


def format_fault(file: str, *, first_line: bytes, reason: str) -> str:
    """Return the message for a file of which no line is a review: what is wrong with the first, and what is read."""
    look, remedy = f"has not one review, and the fault of its first line is: {reason}", "write one JSON object a line"
    if first_line.lstrip().startswith(b"["):
        look, remedy = "looks like one JSON array, not JSON lines", "write one review a line: jq -c '.[]'"
    elif first_line.lstrip().startswith(b"{'"):
        look = "looks like Python dictionaries, not JSON lines"
        remedy = "write each line again as json.dumps(ast.literal_eval(line))"
    return f"source: {file} {look}; {remedy}, with {'; or '.join(map(_field_names, _LAYOUTS))}"


def _field_names(layout: _Layout) -> str:
    time = f"{layout.time} (in {'seconds' if layout.seconds == 1 else 'milliseconds'})"
    return ", ".join((layout.user, layout.product[0], layout.stars, time, layout.summary, layout.text))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of an object; one that is given twice has no meaning."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("has a field twice")
    return fields


def _value(fields: dict[str, Any], names: Sequence[str], parse: Callable[[Any], Value]) -> Value:
    """Return the value of the first field that is not empty."""
    value = next((fields[name] for name in names if fields.get(name)), fields.get(names[-1]))
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError):
        raise NotAReview(f"field {names[-1]}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("is not text")
    value.encode()  # half of a surrogate pair is not text
    return value


def _plain(value: Any) -> str:
    return markup.plain(_text(value or ""))


def _stars(value: Any) -> int:
    stars = int(float(str(value)))
    if not 1 <= stars <= 5:
        raise ValueError("is not a number of stars")
    return stars


def _time(value: Any, units_per_second: int) -> int:
    seconds = int(value) // units_per_second
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise ValueError("is not the time of a review")
    return seconds
