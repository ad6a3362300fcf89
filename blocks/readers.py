"""Read UCSD review files: JSON lines of 2014/2018 or of 2023, plain or gzip; a bad line is counted, not hidden."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from blocks.record import Record
from privatekube import errors, storage

_ENDINGS = (".jsonl.gz", ".json.gz", ".jsonl", ".json", ".gz")
_MS = 1000


@dataclass
class Faults:
    """Lines that were no reviews, by file."""

    lines: dict[str, int] = field(default_factory=dict)

    def count(self, file: str) -> None:
        """Note one bad line of `file`."""
        self.lines[file] = self.lines.get(file, 0) + 1

    @property
    def total(self) -> int:
        """Bad lines of all files."""
        return sum(self.lines.values())


def categories(source: str) -> dict[str, str]:
    """The files of a source and the category each one's name gives, by category in alphabetical order.

    Args:
        source: a file, a folder of one file per category, or a gs:// prefix.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: no review file in it.
    """
    files = [file for file in storage.list_files(source) if file.endswith(_ENDINGS)]
    if not files:
        raise errors.invalid(
            "source", source, f"holds no review file ({', '.join(_ENDINGS)})", "name a file or folder of reviews"
        )
    named = {_category(file): file for file in files}
    if len(named) < len(files):
        raise errors.invalid("source", source, "has two files of one category", "keep one of them")
    return dict(sorted(named.items()))


def read(file: str, category: str, faults: Faults) -> Iterator[Record]:
    """The reviews of one file; lines that are none are counted in `faults`.

    Raises:
        CorruptData: a gzip file that is none, or is cut short.
    """
    for line in _lines(file):
        if line.strip():
            record = _record(line, category)
            if record is None:
                faults.count(file)
            else:
                yield record


def _category(file: str) -> str:
    name = file.rsplit("/", 1)[-1]
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def _lines(file: str) -> list[bytes]:
    data = storage.read_bytes(file)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise errors.CorruptData(f"source: {file} is no whole gzip file; fetch it again") from error
    return data.split(b"\n")


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
        raise TypeError("no text")
    return value


def _stars(value: object) -> int:
    stars = int(float(str(value)))
    if not 1 <= stars <= 5:
        raise ValueError("no stars")
    return stars
