"""Durations as people write them: `10s`, `500ms`, `2h`."""

from __future__ import annotations

import re

from privatekube import errors

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)", re.ASCII)


def milliseconds(text: str) -> int | None:
    """A duration in milliseconds; None where it is none, or nothing.

    >>> milliseconds("10s")
    10000
    """
    found = _DURATION.fullmatch(text.strip())
    return int(found[1]) * _UNITS[found[2]] or None if found else None


def parse(name: str, text: str) -> int:
    """The same; InvalidInput with that name where it is none."""
    found = milliseconds(text)
    if found is None:
        raise errors.invalid(name, text, "is no duration above 0", "write it like 500ms, 10s or 2h")
    return found
