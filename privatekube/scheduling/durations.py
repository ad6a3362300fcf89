"""Durations as text: `10s`, `500ms`, `2h`."""

from __future__ import annotations

import re

from privatekube import errors

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,12})(ms|s|m|h|d)", re.ASCII)


def milliseconds(text: str) -> int | None:
    """Return a duration in milliseconds, or None if `text` is not a duration above 0.

    >>> milliseconds("10s")
    10000
    """
    match = _DURATION.fullmatch(text.strip())
    return int(match[1]) * _UNITS_MS[match[2]] or None if match else None


def parse(name: str, text: str) -> int:
    """Return a duration in milliseconds.

    Raises:
        InvalidInput: `text` is not a duration above 0; the message has the `name` of the setting.
    """
    duration_ms = milliseconds(text)
    if duration_ms is None:
        raise errors.invalid(name, text, "is not a duration above 0", "write it like 500ms, 10s or 2h")
    return duration_ms
