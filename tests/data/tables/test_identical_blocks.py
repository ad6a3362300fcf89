"""The blocks of the same files stay the same from version to version, whatever reads them and in whatever parts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from blocks import record, sources
from privatekube.data import any_block, declare, partition
from privatekube.data.partition import Slice
from privatekube.data.sources import OfReviews
from privatekube.data.tables import json_lines
from privatekube.data.tables.batch import Batch, Wanted, WantedColumn
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from tests.data.tables import odd_files

DAYS = Slice(0, 58)
CUTS = {
    "event": ("event", "month", 1, False),
    "user-day": ("user-day", "week", 1, False),
    "user": ("user", "all", 5, False),
    "copies": ("event", "all", 1, True),
}
"""Unit, kind of slice, bound, and whether copies are kept."""
OF_VERSION_0_1 = {
    "event": ("58f272dda96a860c", "b576418ba94cde8d", "b8b473b96abaa793"),
    "user-day": ("361b7c2279a52950", "21cb338bb0f70b42", "b8b473b96abaa793"),
    "user": ("7f1c4c02f625d893", "92cc15d27e6d7f15", "b8b473b96abaa793"),
    "copies": ("5b23b1e70ee14bed", "92cc15d27e6d7f15", "25d1bfc7e48c9f68"),
}
"""Hashes of the digests of all blocks, of their identities, and of the report, as they were in version 0.1."""


def short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def declaration(name: str, folder: Path) -> declare.Declaration:
    unit, kind, bound, keep_copies = CUTS[name]
    return declare.Declaration(
        dataset="r",
        namespace="n",
        kind=kind,
        n_buckets=3,
        unit=PrivacyUnit(unit),
        max_contribution=bound,
        initial_budget=EpsilonDelta(10.0, 1e-7),
        folder=str(folder),
        keep_copies=keep_copies,
    )


def hashes_of(slices: list[declare.DeclaredSlice], files: dict[str, Any]) -> tuple[str, str, str]:
    """Return the hashes of the content of all blocks, of the identities, and of what was counted."""
    blocks = [block.spec.data_source.removeprefix("file://") for declared in slices for block in declared.blocks]
    digests = "".join(any_block.read_block(path).content.digest for path in blocks)
    sketches = [
        sorted((day, sketch.hashes, sketch.limit) for day, sketch in one.identity.days.items()) for one in slices
    ]
    return short(digests), short(repr(sketches)), short({Path(name).name: vars(count) for name, count in files.items()})


@pytest.mark.parametrize("name", CUTS)
def test_a_source_in_memory_gives_the_blocks_of_version_0_1(tmp_path: Path, name: str) -> None:
    folder, declared = odd_files.write(tmp_path / "in"), declaration(name, tmp_path / "out")
    opened = sources.Files(str(folder), DAYS, keep_copies=declared.keep_copies)
    slices = partition.slices(declared.kind, DAYS, n_buckets=3)
    written = [declare.write_slice(OfReviews(opened), days, declared, owner_key=bytes(32)) for days in slices]
    assert hashes_of(written, opened.report.files) == OF_VERSION_0_1[name]


def as_rows(batches: list[Batch], wanted: Wanted) -> list[list[Any]]:
    """Return the records of some batches, each value as text."""
    rows: list[list[Any]] = []
    for batch in batches:
        columns = [[_text(value) for value in batch.columns[name].to_pylist()] for name in wanted.names]
        rows += map(list, zip(*columns, strict=True))
    return rows


def _text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else None if value is None else str(value)


LINES = [
    *odd_files.NOT_REVIEWS,
    b'{"asin": "P", "deep": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"asin": "P", "unread": 1, "unread": 2, "nested": {"a": 1, "a": 2}}',
    b'{"asin": null, "asin": "P"}',
    b'{"asin": "P", "unread": Infinity}',
    b'{"asin": "P", "unread": NaN}',
    b'{"asin": "P", "overall": 4.5}',
    b'{"asin": "P", "overall": 9007199254740993}',
    b'{"asin": "P", "overall": -0}',
    b'{"asin": "P", "overall": 1e999}',
    b'{"asin": "", "summary": ""}',
    b'{"asin": "P", "summary": {"a": 1}}',
    b'{"asin": "P", "overall": [1]}',
    b"{'asin': 'P'}",
    b'{"asin": "P"',
    b'"asin": "P"}',
    b'{"asin": tru}',
    b'{"\\u0061sin": "P"}',
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_is_read_alike_alone_and_among_many_others(tmp_path: Path, line: bytes) -> None:
    schema = record.read_schema(DAYS)
    names = ("user", "product", "time", "stars", "summary", "text")
    wanted = Wanted("t", tuple(WantedColumn(schema.names_of(name), name in schema.text, True) for name in names))
    good = b'{"asin": "Q", "overall": 2, "summary": "so", "reviewerID": "A", "unixReviewTime": 1}'
    filler = (good + b"\n") * 500
    (tmp_path / "alone").write_bytes(good + b"\n" + line)
    (tmp_path / "among").write_bytes(filler + line + b"\n" + filler)
    alone, among = (list(json_lines.batches(tmp_path / name, wanted)) for name in ("alone", "among"))
    assert (
        as_rows(among, wanted)
        == 500 * as_rows(alone, wanted)[:1] + as_rows(alone, wanted)[1:] + 500 * (as_rows(alone, wanted)[:1])
    )
    assert sum(batch.damaged for batch in among) == sum(batch.damaged for batch in alone)
    not_text = [sum(int(flags.sum()) for batch in each for flags in batch.not_text.values()) for each in (alone, among)]
    assert not_text[0] == not_text[1]
