"""The blocks of the same files stay the same from version to version, whatever reads them and in whatever parts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from blocks import record, sources
from privatekube.data import any_block, declare
from privatekube.data.partition import Slice
from privatekube.data.tables import files, json_lines, source
from privatekube.data.tables.batch import Batch, Wanted, WantedColumn
from privatekube.privacy.unit import PrivacyUnit
from tests.data.cutting import builders as cutting
from tests.data.tables import builders, odd_files

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


def hashes_of(slices: list[declare.DeclaredSlice], files: dict[str, Any]) -> tuple[str, str, str]:
    """Return the hashes of the content of all blocks, of the identities, and of what was counted."""
    blocks = [block.spec.data_source.removeprefix("file://") for declared in slices for block in declared.blocks]
    digests = "".join(any_block.read_block(path).content.digest for path in blocks)
    sketches = [
        sorted((day, sketch.hashes, sketch.limit) for day, sketch in one.identity.days.items()) for one in slices
    ]
    return short(digests), short(repr(sketches)), short({Path(name).name: vars(count) for name, count in files.items()})


@pytest.mark.parametrize("name", CUTS)
def test_reviews_give_the_blocks_of_version_0_1(tmp_path: Path, name: str) -> None:
    unit, kind, bound, keep_copies = CUTS[name]
    schema = record.read_schema(DAYS)
    locations = files.list_tables([str(odd_files.write(tmp_path / "in"))], schema.format)
    stated: dict[str, Any] = {"dataset": "r", "namespace": "n", "kind": kind, "n_buckets": 3, "max_contribution": bound}
    written, report = cutting.cut(
        locations,
        schema,
        sources.kind_of(locations, schema),
        tmp_path / "out",
        unit=PrivacyUnit(unit),
        keep_copies=keep_copies,
        **stated,
    )
    assert hashes_of(written, report.files) == OF_VERSION_0_1[name]


TABLES = {"event": (None, "month"), "user-day": (2, "week"), "user": (2, "all")}
"""By unit: bound and kind of slice."""
TABLES_WHEN_CUT_IN_MEMORY = {
    "event": ("cf9c8b718d53186f", "b6664abc36e7ba40", "cada40152ab6ba61"),
    "user-day": ("69f769eda927ff78", "8c800c72b764a328", "cada40152ab6ba61"),
    "user": ("95b36f14897e822c", "c9ace0b74547a928", "cada40152ab6ba61"),
}
"""The same of a table, as it was before tables were cut out of core."""


@pytest.mark.parametrize("unit", ["event", pytest.param("user-day", marks=pytest.mark.slow), "user"])
def test_a_table_in_two_formats_gives_the_blocks_that_it_gave_when_it_was_cut_in_memory(
    tmp_path: Path, unit: str
) -> None:
    bound, kind = TABLES[unit]
    table = builders.rows(600, seed=3)
    table += table[50:90]
    table += [row | {"patient": None} for row in table[:5]] + [row | {"age": 150} for row in table[5:9]]
    table += [row | {"admitted": "2023-01-01"} for row in table[5:8]]
    schema = builders.read_schema(tmp_path, {"unit": unit, "slice": kind, "users": 3, "max_contribution": bound})
    builders.write_csv(tmp_path / "a.csv", table[:400])
    builders.write_json_lines(tmp_path / "b.jsonl", table[380:])
    locations = [str(tmp_path / name) for name in ("a.csv", "b.jsonl")]
    written, report = cutting.cut(locations, schema, source.kind_of(locations, schema), tmp_path / "out")
    assert hashes_of(written, report.files) == TABLES_WHEN_CUT_IN_MEMORY[unit]


def as_rows(batches: list[Batch], wanted: Wanted) -> list[list[Any]]:
    """Return the records of some batches, each value as text."""
    rows: list[list[Any]] = []
    for batch in batches:
        columns = [[_text(value) for value in batch.columns[name].to_pylist()] for name in wanted.names]
        rows += map(list, zip(*columns, strict=True))
    return rows


def batches(path: Path, wanted: Wanted) -> list[Batch]:
    return [batch for piece in json_lines.pieces(path, wanted, 1) for batch in json_lines.batches(piece, wanted)]


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
    alone, among = (batches(tmp_path / name, wanted) for name in ("alone", "among"))
    assert (
        as_rows(among, wanted)
        == 500 * as_rows(alone, wanted)[:1] + as_rows(alone, wanted)[1:] + 500 * (as_rows(alone, wanted)[:1])
    )
    assert sum(batch.damaged for batch in among) == sum(batch.damaged for batch in alone)
    not_text = [sum(int(flags.sum()) for batch in each for flags in batch.not_text.values()) for each in (alone, among)]
    assert not_text[0] == not_text[1]
