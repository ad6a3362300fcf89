"""Read UCSD review files: JSON lines in the layout of 2014 and 2018 or of 2023, plain or gzip."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from blocks.record import Record
from privatekube.data import json_lines
from privatekube.data.json_lines import Faults

_MS = 1000


def read(file: str, category: str, faults: Faults) -> Iterator[Record]:
    """Generate the reviews of one file; count in `faults` the lines that are not reviews.

    Raises:
        CorruptData: a gzip file is damaged or truncated.
    """
    for line in json_lines.lines(file):
        if line.strip():
            record = _record(line, category)
            if record is None:
                faults.count(file)
            else:
                yield record


def _record(line: bytes, category: str) -> Record | None:
    try:
        fields = json.loads(line)
        return next(layout(fields, category) for key, layout in _LAYOUTS.items() if key in fields)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, OverflowError, RecursionError):
        return None


def _of_2018(fields: dict[str, Any], category: str) -> Record:
    return Record(
        user=_text(fields["reviewerID"]),
        product=_text(fields["asin"]),
        category=category,
        stars=_stars(fields["overall"]),
        time=int(fields["unixReviewTime"]),
        summary=_text(fields.get("summary") or ""),
        text=_text(fields.get("reviewText") or ""),
    )


def _of_2023(fields: dict[str, Any], category: str) -> Record:
    return Record(
        user=_text(fields["user_id"]),
        product=_text(fields.get("parent_asin") or fields["asin"]),
        category=category,
        stars=_stars(fields["rating"]),
        time=int(fields["timestamp"]) // _MS,
        summary=_text(fields.get("title") or ""),
        text=_text(fields.get("text") or ""),
    )


_LAYOUTS: dict[str, Callable[[dict[str, Any], str], Record]] = {"reviewerID": _of_2018, "user_id": _of_2023}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("is not text")
    return value


def _stars(value: object) -> int:
    stars = int(float(str(value)))
    if not 1 <= stars <= 5:
        raise ValueError("is not a number of stars")
    return stars
