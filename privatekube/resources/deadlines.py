"""When the results of a claim become useless: unix milliseconds, or an RFC 3339 time in whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

import pydantic

from privatekube import errors, plain_text
from privatekube.resources import bounds, meta

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")


def parse(text: str) -> int:
    """Return the unix milliseconds of an RFC 3339 time, without its fraction of a second.

    Raises:
        InvalidInput: the text is not such a time, or is one before 1970.

    >>> parse("2026-12-01T13:00:00+01:00") == parse("2026-12-01T12:00:00Z")
    True
    """
    bounds.require_text("deadline", text, bounds.NAME)
    malformed = errors.invalid(
        "deadline", text, "is not an RFC 3339 time with a time zone", "write it like 2026-12-01T12:00:00Z"
    )
    if not _RFC_3339.fullmatch(text):
        raise malformed
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed from None
    unix_ms = int(moment.replace(microsecond=0).timestamp()) * 1000
    if not 0 <= unix_ms <= bounds.LATEST_MS:
        raise errors.invalid("deadline", text, "is not a time from 1970 to 9999", "change it")
    return unix_ms


def parse_stored(stated: object) -> int:
    """Return the unix milliseconds of a time as a claim states it: in UTC, so that it is always the same text.

    Args:
        stated: the text; in YAML without quotes it is a datetime.

    Raises:
        InvalidInput: it is something else.
    """
    text = _as_text(stated) if isinstance(stated, date) else stated
    if not isinstance(text, str):
        raise errors.invalid("deadline", stated, "is not a text", "write it like '2026-12-01T12:00:00Z'")
    unix_ms = parse(text)
    if meta.format_time(unix_ms) != text:
        raise errors.invalid("deadline", text, "is not in whole seconds of UTC", f"write {meta.format_time(unix_ms)}")
    return unix_ms


def _as_text(given: object) -> object:
    """Return a deadline as a claim states it; YAML reads a time as a datetime, and a day as a date."""
    if given == plain_text.NOT_STATED or not isinstance(given, str | date):
        return given
    return meta.format_time(parse(given if isinstance(given, str) else given.isoformat()))


Deadline = Annotated[str, pydantic.BeforeValidator(_as_text)]
"""A deadline as an argument: an RFC 3339 time, or `not stated`."""


def stated(text: str) -> int | None:
    """Return the unix milliseconds of a `Deadline`; None if none is stated."""
    return None if text == plain_text.NOT_STATED else parse(text)
