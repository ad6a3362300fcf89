"""A table is read alike whatever its format; what does not fit is left out, counted, or refused in one line."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.data import identify, partition
from privatekube.data.read_report import FileCounts
from privatekube.data.tables import files
from privatekube.data.tables.table import Table
from privatekube.resources.data_identity import DataIdentity, Overlap
from privatekube.storage import uris
from tests.data.cutting.builders import Whole
from tests.data.tables import builders
from tests.data.tables.builders import Row
from tests.examples import examples
from tests.storage.bucket import served

KEY = bytes(range(32))


def whole(opened: Whole) -> Table:
    table: Table = opened.all
    return table


def digest(opened: Whole) -> str:
    return opened.content.digest


def counts(opened: Whole) -> FileCounts:
    (file,) = opened.report.files.values()
    return file


def left_out(opened: Whole) -> dict[str, int]:
    return dict(+counts(opened).not_records)


@pytest.mark.parametrize("name", builders.WRITERS)
def test_the_same_rows_have_the_same_digest_in_every_format(tmp_path: Path, name: str) -> None:
    table = builders.rows(40)
    builders.WRITERS[name](tmp_path / name, table)
    opened = builders.read([str(tmp_path / name)], builders.read_schema(tmp_path))
    assert len(whole(opened)) == 40
    assert digest(opened) == digest(builders.table_of(tmp_path, table))


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
NOTES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VISITS = st.fixed_dictionaries(
    {
        "patient": IDS | st.integers(-(2**70), 2**70),
        "admitted": st.datetimes(datetime(2023, 12, 30), datetime(2025, 1, 2)).map(lambda time: time.isoformat()),
        "age": st.integers(-(10**400), 10**400) | st.floats() | IDS,
        "height": st.floats() | st.booleans() | st.none(),
        "ward": st.sampled_from(["A", "B", "3", "Z", 3]),
        "note": NOTES,
        "returned": st.booleans() | st.none(),
    }
)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.lists(VISITS, min_size=1, max_size=8))
def test_whatever_is_in_a_table_it_is_read_alike_from_csv_and_json_lines(visits: list[dict[str, Any]]) -> None:
    table = [*visits, builders.rows(1)[0] | {"note": "hello"}]
    with tempfile.TemporaryDirectory() as folder:
        builders.write_json_lines(Path(folder) / "t.jsonl", table)
        read = builders.read([f"{folder}/t.jsonl"], builders.read_schema(Path(folder)))
        same = builders.table_of(Path(folder), table)
        assert digest(read) == digest(same)
        assert vars(counts(read)) == vars(counts(same))


def test_values_are_what_the_schema_says_they_are(tmp_path: Path) -> None:
    row = builders.rows(1)[0] | {"ward": "3", "returned": False, "age": 130, "note": "Été, 7 hello"}
    opened = builders.table_of(tmp_path, [row])
    table = whole(opened)
    assert table.values["ward"].tolist() == [2]
    assert table.values["returned"].tolist() == [1]
    assert table.values["age"].tolist() == [120]
    assert table.values["height"].tolist() == [row["height"]]
    assert table.texts["note"].ids.tolist() == [5, 0, 7]
    assert table.user.tolist() == [partition.keyed_hash(str(row["patient"]))]
    assert +counts(opened).clamped == {"age": 1}


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("patient", None, "column patient: not the id of a user"),
        ("admitted", "yesterday", "column admitted: not an ISO 8601 time"),
        ("admitted", "", "column admitted: not an ISO 8601 time"),
        ("age", "old", "column age: not a whole number"),
        ("age", 3.5, "column age: not a whole number"),
        ("age", "1" * 400, "column age: not a whole number"),
        ("height", "nan", "column height: not a number"),
        ("height", None, "column height: not a number"),
        ("ward", "Z", "column ward: not one of its keys"),
        ("returned", "maybe", "column returned: not one of its keys"),
    ],
)
def test_a_row_that_does_not_fit_is_left_out_and_counted(
    tmp_path: Path, column: str, value: object, fault: str
) -> None:
    table = builders.rows(10)
    table[4][column] = value
    opened = builders.table_of(tmp_path, table)
    assert len(whole(opened)) == 9
    assert left_out(opened) == {fault: 1}
    assert counts(opened).kept == 9


def test_keys_that_yaml_read_as_booleans_are_refused_with_the_reason(tmp_path: Path) -> None:
    table = [row | {"returned": "yes"} for row in builders.rows(10)]
    label = {"label": {"column": "returned", "keys": [True, False]}}
    with pytest.raises(errors.CorruptData, match="YAML reads yes and no without quotes as true and false"):
        whole(builders.table_of(tmp_path, table, label))


def test_what_is_not_a_row_at_all_spoils_no_other(tmp_path: Path) -> None:
    builders.write_csv(tmp_path / "t.csv", builders.rows(10))
    with (tmp_path / "t.csv").open("ab") as file:
        file.write(b"one,field\n" + b"\xff,2024-05-05,7,1.5,A,note,true\n")
    opened = builders.read([str(tmp_path / "t.csv")], builders.read_schema(tmp_path))
    assert left_out(opened) == {"cannot be read": 1, "column patient: not the id of a user": 1}
    builders.write_json_lines(tmp_path / "t.jsonl", builders.rows(10))
    with (tmp_path / "t.jsonl").open("a") as lines:
        lines.write('{"patient": 1, "patient": 2}\nnot json\n[1]\n\n{"patient": "\\ud800"}\n{"patient": {"id": 1}}\n')
    opened = builders.read([str(tmp_path / "t.jsonl")], builders.read_schema(tmp_path))
    assert left_out(opened) == {"cannot be read": 3, "column patient: not the id of a user": 2}
    assert counts(opened).kept == 10


def test_a_text_that_is_missing_is_empty_and_its_row_stays(tmp_path: Path) -> None:
    table = builders.rows(2)
    table[0]["note"], table[1]["note"] = None, "hello"
    assert whole(builders.table_of(tmp_path, table)).texts["note"].lengths.sum() == 1


@pytest.mark.parametrize(
    ("time", "written"),
    [
        ({"unit": "s"}, 1_709_294_400),
        ({"unit": "ms"}, 1_709_294_400_123),
        ({"unit": "day"}, 19_783),
        ({"format": "%d.%m.%Y %H:%M"}, "01.03.2024 12:00"),
        ({}, "2024-03-01 12:00:00"),
        ({}, "2024-03-01T14:00:00+02:00"),
        ({}, "2024-03-01"),
    ],
)
def test_a_time_is_read_in_its_declared_form_and_is_in_utc_without_a_zone(
    tmp_path: Path, time: Row, written: object
) -> None:
    row = builders.rows(1)[0] | {"admitted": written}
    opened = builders.table_of(tmp_path, [row], {"time": {"column": "admitted", **time}})
    noon = 1_709_294_400
    assert whole(opened).time.tolist() == [noon - 43_200 if str(written) in {"19783", "2024-03-01"} else noon]


def test_records_of_other_days_are_left_out_and_counted(tmp_path: Path) -> None:
    table = [*builders.rows(5), builders.rows(1)[0] | {"admitted": "2023-12-31T23:59:59"}]
    opened = builders.table_of(tmp_path, table)
    assert (len(whole(opened)), counts(opened).outside_days) == (5, 1)


def test_exact_copies_are_left_out_and_a_further_column_tells_records_apart(tmp_path: Path) -> None:
    table = [row | {"order": number} for number, row in enumerate([*builders.rows(3), *builders.rows(3)])]
    opened = builders.table_of(tmp_path, table)
    assert (len(whole(opened)), counts(opened).exact_copies) == (3, 3)
    assert len(whole(builders.table_of(tmp_path, table, {"record": ["order"]}))) == 6
    assert len(whole(builders.table_of(tmp_path, table, keep_copies=True))) == 6


ABSENT = {"user": "person"}
NO_LABEL = {"label": {"column": "dead", "keys": [1, 2]}}
YES_OR_NO = {"label": {"column": "returned", "keys": ["yes", "no"]}}
SECONDS = {"time": {"column": "admitted", "unit": "s"}}
WARD_AS_NUMBER = {"features": {"ward": {"type": "number", "range": [0, 1]}}}
AGE_AS_TEXT = {"features": None, "text": {"age": {"words": "words.txt"}}}


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        *((name, ABSENT, "schema: column 'person' is absent from") for name in ("t.csv", "t.jsonl", "t.parquet")),
        *((name, NO_LABEL, "schema: column 'dead' is absent from") for name in ("t.csv", "t.jsonl", "t.arrow")),
        *((name, YES_OR_NO, "not one value of column 'returned' of .* its keys") for name in builders.WRITERS),
        ("t.csv", SECONDS, "not one value of column 'admitted' of .* is a time in s since 1970"),
        ("t.parquet", SECONDS, "column 'admitted' of .* is timestamp.*, which cannot be a time in s since 1970"),
        ("t.csv", WARD_AS_NUMBER, "not one value of column 'ward' of .* is a number"),
        ("t.jsonl", WARD_AS_NUMBER, "not one value of column 'ward' of .* is a number"),
        ("t.parquet", WARD_AS_NUMBER, "column 'ward' of .* is string, which cannot be a number"),
        ("t.jsonl", AGE_AS_TEXT, "not one value of column 'age' of .* is text"),
        ("t.parquet", AGE_AS_TEXT, "column 'age' of .* is int64, which cannot be text"),
    ],
)
def test_a_schema_that_does_not_fit_is_one_line_that_quotes_no_value(
    tmp_path: Path, name: str, changes: Row, expected: str
) -> None:
    builders.WRITERS[name](tmp_path / name, [row | {"ward": "A"} for row in builders.rows(9)])
    with pytest.raises(errors.InvalidInput, match=expected) as refused:
        builders.read([str(tmp_path / name)], builders.read_schema(tmp_path, changes))
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_without_a_header_is_refused_without_quoting_its_first_record(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("alice,2024-05-05,7,1.5,A,secret,true\n")
    with pytest.raises(errors.InvalidInput, match="absent") as refused:
        builders.read([str(tmp_path / "t.csv")], builders.read_schema(tmp_path))
    assert "alice" not in str(refused.value)
    (tmp_path / "t.csv").write_text("patient,patient\n1,2\n")
    with pytest.raises(errors.InvalidInput, match="column 'patient' is there twice in"):
        builders.read([str(tmp_path / "t.csv")], builders.read_schema(tmp_path))


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_another_delimiter_is_named_without_quoting_the_header(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("patient;alice\n1;2\n")
    with pytest.raises(errors.InvalidInput, match="whose header is one column: fields must be separated by") as refused:
        builders.read([str(tmp_path / name)], builders.read_schema(tmp_path))
    assert "alice" not in str(refused.value)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_named_without_quoting_the_text(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes('{"patient": "alice"}\n'.encode(encoding))
    with pytest.raises(errors.CorruptData, match="is UTF-16 text; save it as UTF-8") as refused:
        builders.read([str(tmp_path / name)], builders.read_schema(tmp_path))
    assert "alice" not in str(refused.value)


def test_an_array_in_a_file_of_json_lines_is_refused_as_such_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('[{"patient": "alice"}, {"patient": "bob"}]\n')
    with pytest.raises(
        errors.InvalidInput, match=r"source: .*t\.jsonl looks like one JSON array, not JSON lines"
    ) as refused:
        builders.read([str(tmp_path / "t.jsonl")], builders.read_schema(tmp_path))
    assert "alice" not in str(refused.value)


@pytest.mark.parametrize("name", [*builders.WRITERS, "t.csv.gz", "t.xlsx"])
def test_a_damaged_file_is_one_line_that_quotes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8bsecret" if name.endswith("gz") else b"ARROW1secret\xff\xfe\x00")
    with pytest.raises(errors.InvalidInput) as refused:
        builders.read([str(tmp_path / name)], builders.read_schema(tmp_path))
    assert len(str(refused.value).splitlines()) == 1
    assert "secret" not in str(refused.value)


def test_a_table_of_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",".join(builders.rows(1)[0]) + "\n")
    opened = builders.read([str(tmp_path / "t.csv")], builders.read_schema(tmp_path))
    assert len(whole(opened)) == 0
    assert digest(opened).startswith("sha256:")


def test_a_small_part_without_a_fitting_row_is_read_and_a_large_one_is_refused(tmp_path: Path) -> None:
    builders.write_csv(tmp_path / "a.csv", builders.rows(9))
    builders.write_csv(tmp_path / "b.csv", [row | {"age": "old"} for row in builders.rows(3)])
    (tmp_path / "c.jsonl").write_text("")
    read = builders.read_schema(tmp_path)
    opened = builders.read([str(tmp_path / name) for name in ("a.csv", "b.csv", "c.jsonl")], read)
    assert len(whole(opened)) == 9
    builders.write_csv(tmp_path / "b.csv", [row | {"age": "old"} for row in builders.rows(100)])
    with pytest.raises(errors.CorruptData, match=r"not one value of column 'age' of .*b.csv is a whole number"):
        builders.read([str(tmp_path / name) for name in ("a.csv", "b.csv")], read)


def test_a_table_in_a_bucket_is_read_like_one_on_disk(tmp_path: Path) -> None:
    table = builders.rows(20)
    with served() as bucket:
        for name, write in builders.WRITERS.items():
            write(tmp_path / name, table)
            uris.write_bytes(f"{bucket}/parts/{name}", (tmp_path / name).read_bytes())
        uris.write_bytes(f"{bucket}/parts/notes.md", b"not a table")
        locations = files.list_tables([f"{bucket}/parts", f"{bucket}/parts/t.csv"])
        assert [location.rsplit("/", 1)[-1] for location in locations] == sorted(builders.WRITERS)
        opened = builders.read(locations, builders.read_schema(tmp_path))
    assert len(whole(opened)) == 20, "the same rows in six formats are copies"
    assert digest(opened) == digest(builders.table_of(tmp_path, table))


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string(), pa.dictionary(pa.int8(), pa.string())])
def test_a_user_is_the_same_whatever_the_type_of_the_column(tmp_path: Path, kind: Any) -> None:
    values = pa.array(["7", None]).cast(kind) if pa.types.is_dictionary(kind) else pa.array([7, None]).cast(kind)
    pa.parquet.write_table(pa.table({"patient": values, "x": [1.0, 1.0]}), tmp_path / "t.parquet")
    minimal: dict[str, Any] = {"time": None, "slice": None, "unit": "user", "text": {}, "label": None}
    opened = builders.read(
        [str(tmp_path / "t.parquet")],
        builders.read_schema(tmp_path, minimal | {"features": {"x": {"type": "number", "range": [0, 2]}}}),
    )
    assert whole(opened).user.tolist() == [partition.keyed_hash("7")]
    assert left_out(opened) == {"column patient: not the id of a user": 1}


def identity(opened: Whole) -> DataIdentity:
    return identify.identify(whole(opened), key=KEY, partition_key_id=opened.kind.record_key_id)


def test_two_cuts_of_a_table_are_recognised_as_the_same_data_and_other_rows_are_not(tmp_path: Path) -> None:
    table = builders.rows(60)
    once = identity(builders.table_of(tmp_path, table))
    changes = {
        "dataset": "other",
        "slice": None,
        "unit": "user",
        "users": 3,
        "features": {"age": {"type": "number", "range": [10, 20]}},
        "text": {},
        "label": None,
        "days": {"first": "2023-01-01", "last": "2026-12-31"},
    }
    assert once.overlap(identity(builders.table_of(tmp_path, table[:50], changes))) is Overlap.SAME
    assert once.overlap(identity(builders.table_of(tmp_path, builders.rows(60, seed=1), changes))) is Overlap.DIFFERENT
    timeless = identity(builders.table_of(tmp_path, table, changes | {"time": None}))
    assert once.overlap(timeless) is Overlap.UNKNOWN, "users alone do not tell; the owner has to compare"
    assert timeless.overlap(identity(builders.table_of(tmp_path, table[:9], changes | {"time": None}))) is Overlap.SAME
