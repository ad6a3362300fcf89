"""What files of one table may differ in is said in its schema: names, units, markup, and what a file's name means."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.data.tables import english, files, layout, schema
from tests.data.cutting.builders import Whole
from tests.data.tables import builders

SCHEMA: dict[str, Any] = {
    "dataset": "visits",
    "user": "patient",
    "time": {"column": "at", "unit": "s", "units": {"millis": "ms"}, "range": ["2000-01-01", "2030-12-31"]},
    "names": {"at": ["at", "millis"], "age": ["years", "age"]},
    "days": {"first": "2024-01-01", "last": "2024-12-31"},
    "unit": "event",
    "features": {"age": {"type": "integer", "range": [0, 120], "outside": "leave_out"}},
    "text": {"note": {"words": "english", "markup": "html", "drop": "x+", "optional": True}},
    "record": ["visit"],
    "file_name": "ward",
    "format": "jsonl",
}
NOON = 1_709_294_400
"""2024-03-01."""
ROW: dict[str, Any] = {"patient": "a", "at": NOON, "age": 7, "note": "the <b>good</b> &amp; xxx", "visit": 1}
KEYS = {
    *schema.Schema.model_fields,
    *schema.Time.model_fields,
    *schema.Text.model_fields,
    *layout.Number.model_fields,
    *layout.Category.model_fields,
    *layout.Label.model_fields,
}


def opened(folder: Path, parts: Mapping[str, Sequence[Mapping[str, Any]]], **changes: Any) -> Whole:
    """Write files of JSON lines, and open them under the schema with some changes (None removes a key)."""
    (folder / "parts").mkdir()
    for name, rows in parts.items():
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / "parts" / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    stated = {name: value for name, value in (SCHEMA | changes).items() if value is not None}
    (folder / "schema.yaml").write_text(json.dumps(stated))
    declared = schema.read(folder / "schema.yaml")
    return builders.read(files.list_tables([str(folder / "parts")], declared.format), declared)


def left_out(read: Whole) -> dict[str, int]:
    return {fault: number for counts in read.report.files.values() for fault, number in counts.not_records.items()}


def test_a_column_may_have_several_names_and_units_and_the_first_that_a_record_has_counts(tmp_path: Path) -> None:
    other = {"patient": "b", "millis": NOON * 1000 + 5, "years": 9, "age": 8, "visit": 1}
    read = opened(tmp_path, {"A.jsonl": [ROW, {**other, "at": None}], "B.json.gz": [{**other, "patient": "c"}]})
    table = read.all
    assert table.time.tolist() == [NOON] * 3
    assert sorted(table.values["age"].tolist()) == [7, 9, 9]


def test_a_category_may_be_the_name_of_the_file_and_a_copy_in_another_file_is_a_copy(tmp_path: Path) -> None:
    read = opened(tmp_path, {"B.jsonl": [{**ROW, "visit": 2}], "A.json": [ROW], "C.gz": [], "D.jsonl": [ROW]})
    table = read.all
    assert table.layout.features["ward"].keys == ("A", "B", "C", "D")
    assert sorted(table.values["ward"].tolist()) == [0, 1]
    assert [counts.exact_copies for counts in read.report.files.values()] == [0, 0, 0, 1]


@pytest.mark.parametrize("name", ["a\nb.jsonl", ".jsonl"])
def test_a_name_of_a_file_that_cannot_be_a_key_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.InvalidInput, match="is not printable text; rename the file"):
        opened(tmp_path, {name: [ROW]})


def test_two_files_of_one_name_cannot_be_two_keys(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="source: 'A' is the name of two files; keep one of them"):
        opened(tmp_path, {"A.jsonl": [ROW], "A.json": [ROW]})


def test_markup_and_what_is_dropped_are_no_words(tmp_path: Path) -> None:
    read = opened(tmp_path, {"A.jsonl": [ROW, {"patient": "b", "at": NOON, "age": 7, "visit": 1}]})
    note = read.all.texts["note"]
    assert note.ids.tolist() == [english.ids()["the"], english.ids()["good"]]
    assert sorted(note.lengths.tolist()) == [0, 2], "a text may be missing"
    assert read.all.layout.texts["note"].tokeniser == "lower-case [a-z]+ of HTML as plain text"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"at": 1}, "column at or millis: not a time in s or ms since 1970 from 2000-01-01 to 2030-12-31"),
        ({"at": NOON * 1000}, "column at or millis: not a time in s or ms since 1970 from 2000-01-01 to 2030-12-31"),
        ({"age": 121}, "column years or age: not a whole number from 0 to 120"),
        ({"note": 5}, "column note: not text"),
        ({"note": "\ud83d"}, "column note: not text"),
        ({"visit": None}, "column visit: not an id"),
    ],
)
def test_a_record_that_is_not_what_the_schema_says_is_left_out_and_counted(
    tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    read = opened(tmp_path, {"A.jsonl": [ROW, {**ROW, "patient": "b", **change}]})
    assert left_out(read) == {fault: 1}
    assert len(read.all) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"names": {"age": ["patient", "years"]}}, "column 'patient' has two roles; give it one"),
        ({"names": {"colour": "color"}}, "names: 'colour' is not a column of the schema; give it a role, or remove it"),
        ({"file_name": "age"}, "column 'age' has two roles; give it one"),
        ({"format": "xml"}, "schema.yaml: format: 'xml' must be 'csv', 'tsv', 'jsonl', 'parquet' or 'arrow'"),
        ({"text": {"note": {"words": "english", "drop": "("}}}, "is not a regular expression of Python"),
        (
            {"time": {"column": "at", "unit": "s", "range": ["2030", "soon"]}},
            "schema.yaml: time.range: 'soon' is neither",
        ),
    ],
)
def test_a_wrong_key_is_one_line(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(errors.InvalidInput, match=expected.replace("(", r"\(")) as refused:
        opened(tmp_path, {"A.jsonl": [ROW]}, **changes)
    assert len(str(refused.value).splitlines()) == 1


def test_progress_goes_up_to_the_end_of_all_files(tmp_path: Path) -> None:
    shares: list[float] = []
    builders.write_csv(tmp_path / "a.csv", [row | {"unread": "x" * 9000} for row in builders.rows(300)])
    builders.WRITERS["t.parquet"](tmp_path / "b.parquet", builders.rows(30))
    locations = [str(tmp_path / name) for name in ("a.csv", "b.parquet")]
    declared = builders.read_schema(tmp_path)
    builders.read(locations, declared, show=lambda stage, share: shares.append(share) if "reading" in stage else None)
    assert shares == sorted(shares)
    assert 0 < shares[0] <= 0.5 < shares[-1] == 1


def test_every_key_of_a_schema_is_documented() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text()
    table = text[text.index("| key ") : text.index("**Files.**")]
    assert [key for key in sorted(KEYS) if f"`{key}`" not in table] == []
