"""A schema is read into a checked object; what is wrong with one is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.data.partition import Slice
from privatekube.data.tables import schema
from privatekube.privacy.unit import PrivacyUnit
from tests.data.tables import builders

AGE = {"type": "integer", "range": [0, 120]}


def test_a_schema_says_what_is_read_and_how_it_is_cut(tmp_path: Path) -> None:
    read = builders.read_schema(tmp_path)
    assert read.columns == ("patient", "admitted", "age", "height", "ward", "returned", "note")
    assert read.days.slice == Slice(4017, 4382)
    assert (read.unit, read.kind_of_slice) == (PrivacyUnit.USER_DAY, "month")
    assert read.text["note"].words == str(tmp_path / "words.txt")
    assert read.label is not None
    assert read.label.keys == ("true", "false")


def test_a_table_without_times_and_users_over_all_days_are_one_slice(tmp_path: Path) -> None:
    timeless = {"time": None, "slice": None, "unit": "event", "max_contribution": None}
    assert builders.read_schema(tmp_path, timeless).kind_of_slice == "all"
    assert builders.read_schema(tmp_path, {"slice": None, "unit": "user"}).kind_of_slice == "all"
    assert builders.read_schema(tmp_path, {"slice": None}).kind_of_slice == "day"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user": None}, "schema.yaml: user: missing; give it a value"),
        ({"days": None}, "schema.yaml: days: missing; give it a value"),
        ({"colour": "red"}, "schema.yaml: colour: unknown; known are dataset, user, time, .*"),
        ({"max_contributions": 3}, r"schema.yaml: max_contributions: unknown; did you mean max_contribution\?"),
        (
            {"features": {"age": {"type": "integer", "rnage": [0, 9]}}},
            r"schema.yaml: features\.age\.rnage: unknown; did you mean range\?",
        ),
        (
            {"dataset": "My Data"},
            "dataset: 'My Data' must be at most 42 lower-case letters, digits and '-'; change it$",
        ),
        ({"days": "all"}, "days: 'all' must be a mapping; write `name: value` lines$"),
        ({"time": "admitted"}, "time: 'admitted' must be a mapping; "),
        ({"features": ["age"]}, "features: .'age'. must be a mapping; "),
        ({"record": "visit"}, "record: 'visit' must be a list; write one item a line, each after a '-'$"),
        ({"unit": "person"}, "unit: 'person' must be 'event', 'user-day' or 'user'"),
        ({"slice": "year"}, "slice: 'year' must be 'day', 'week', 'month' or 'all'"),
        ({"users": 0}, "users: 0 must be greater than or equal to 1"),
        ({"days": {"first": "2024-01-01", "last": "soon"}}, "days.last: 'soon' is neither a date YYYY-MM-DD nor"),
        ({"days": {"first": "2024-01-02", "last": "2024-01-01"}}, "days.last: '2024-01-01' is before days.first"),
        ({"time": {"column": "admitted", "unit": "s", "format": "%Y"}}, "has a unit, .* and a format"),
        ({"time": {"column": "admitted", "unit": "hours"}}, "time.unit: 'hours' must be 's', 'ms'"),
        ({"time": None}, "time is missing; name its column, or set unit to event or user and slice to all"),
        ({"features": {"patient": AGE}}, "^schema.yaml: column 'patient' has two roles; give it one$"),
        ({"features": {"age": {"type": "integer", "range": [0, 1.5]}}}, "range must be of whole numbers"),
        (
            {"features": {"age": {"type": "number", "range": [1, 1]}}},
            r"range must be \[low, high\] with low below high",
        ),
        ({"features": {"age": {"type": "number"}}}, "features.age.range: missing"),
        (
            {"features": {"age": {"type": "count", "range": [0, 1]}}},
            "features.age: 'count' is not one of 'number', 'integer', 'category'; choose one$",
        ),
        ({"features": {"a/b": AGE}}, "features.a/b"),
        ({"features": {".": AGE}}, "must be one line of text without '/', and not '.'; change it$"),
        ({"label": {"column": "a/b", "keys": [1, 2]}}, "label.column: 'a/b' must be one line of text without '/'"),
        (
            {"features": {"ward": {"type": "category", "keys": []}}},
            r"features.ward.keys: \[\] must have at least 1 item; change it$",
        ),
        ({"features": {"ward": {"type": "category", "keys": ["1", 1]}}}, "has '1' twice"),
        ({"features": {"ward": {"type": "category", "keys": [1.5]}}}, "must be text, a whole number, or true or false"),
        ({"text": {"note": {}}}, "needs a public vocabulary: give either words or tokenizer"),
        ({"label": {"column": "returned"}}, "label.keys: missing"),
        ({"unit": "event"}, "^schema.yaml: max_contribution: 2 is for unit user-day or user; leave it out$"),
        ({"unit": "user"}, "^schema.yaml: slice: 'month' would spread .*; set slice all, or unit user-day$"),
        ({"users": 999}, "^schema.yaml: days: .* more than 5000 at once; set slice month, fewer user buckets"),
        ({"record_name": "a\nb"}, "^schema.yaml: record_name: 'a.nb' must be at most 40 letters"),
    ],
)
def test_a_wrong_schema_is_one_line(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(errors.InvalidInput, match=expected) as refused:
        builders.read_schema(tmp_path, changes)
    assert len(str(refused.value).splitlines()) == 1


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("features:\n  age: {type: number, range: [0, 1]}\n  age: {type: integer}\n")
    with pytest.raises(errors.InvalidInput, match=r"s.yaml: age is given twice; give it one value"):
        schema.read(tmp_path / "s.yaml")
