"""Text files are cut into whole records; one that is too long, or whose quote is not closed, spoils no other."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube.data.tables import text_files
from tests.data.tables import builders

FORM = text_files.csv_form(",")


def parsed(data: bytes) -> list[list[str]]:
    return [record for record in csv.reader(io.StringIO(data.decode(), newline="")) if record]


@given(st.text('",\n\ra', max_size=25))
def test_records_end_where_they_do_for_other_readers(text: str) -> None:
    data = text.encode() + b"\n"
    rest, records = data, list[list[str]]()
    while end := FORM.end_of_first(rest):
        records += parsed(rest[:end])
        rest = rest[end:]
    if not rest:
        assert records == parsed(data)
        assert FORM.end_of_last(data) == len(data)
    elif b'"' in data:
        assert FORM.end_of_last(data) == len(data) - len(rest), "the rest is a quote that is not closed"


@pytest.mark.parametrize(
    ("data", "has_trailing_garbage"),
    [
        (b"one\ntwo", False),
        (gzip.compress(b"one\ntwo"), False),
        (gzip.compress(b"one\n") + gzip.compress(b"two"), False),
        (gzip.compress(b"one\ntwo") + bytes(600), False),
        (gzip.compress(b"one\ntwo") + b"garbage", True),
    ],
    ids=["plain", "gzip", "two members", "padding", "trailing garbage"],
)
def test_a_file_is_unpacked_as_gzip_does(tmp_path: Path, data: bytes, has_trailing_garbage: bool) -> None:
    (tmp_path / "t").write_bytes(data)
    chunks = list(text_files.chunks(tmp_path / "t", text_files.LINES))
    assert b"".join(chunk.data for chunk in chunks) == b"one\ntwo\n"
    assert any(chunk.has_trailing_garbage for chunk in chunks) is has_trailing_garbage


@pytest.mark.parametrize("size", [4, 12, -1])
def test_a_gzip_file_that_is_cut_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "t").write_bytes(gzip.compress(b"one\ntwo")[:size])
    with pytest.raises((EOFError, zlib.error)):
        list(text_files.chunks(tmp_path / "t", text_files.LINES))


def test_a_large_file_of_many_members_is_read_whole(tmp_path: Path) -> None:
    line = os.urandom(700_000).hex().encode() + b"\n"
    (tmp_path / "t").write_bytes(gzip.compress(line, 1) * 3)
    assert b"".join(chunk.data for chunk in text_files.chunks(tmp_path / "t", text_files.LINES)) == line * 3


LONG = "x\n" * 2_000_000
"""4 MB."""


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl"])
@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_record_that_is_too_long_is_one_bad_record_and_the_rest_is_read(
    tmp_path: Path, name: str, place: int
) -> None:
    table = builders.rows(9)
    table[place]["note"] = LONG
    plain = tmp_path / name.removesuffix(".gz")
    builders.WRITERS[plain.name](plain, table)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes(), 1))
    (counts,) = builders.opened(tmp_path, name).report.files.values()
    assert (counts.kept, +counts.not_records) == (8, {"cannot be read": 1})


@pytest.mark.parametrize("further", [0, 900])
def test_a_quote_that_is_not_closed_costs_one_record(tmp_path: Path, further: int) -> None:
    table = [row | {"note": "hello", "unread": ""} for row in builders.rows(3)]
    builders.write_csv(tmp_path / "t.csv", table)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[2] = lines[2].replace("hello", '"hello')
    lines += [lines[1] + f"{number} {'x' * 10_000}" for number in range(further)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (counts,) = builders.opened(tmp_path, "t.csv", keep_copies=True).report.files.values()
    assert (counts.kept, +counts.not_records) == (2 + further, {"cannot be read": 1})


def test_a_line_without_an_end_is_one_bad_record(tmp_path: Path) -> None:
    builders.write_csv(tmp_path / "t.csv", builders.rows(3))
    with (tmp_path / "t.csv").open("a") as file:
        file.write("x" * 11_000_000)
    (counts,) = builders.opened(tmp_path, "t.csv").report.files.values()
    assert (counts.kept, +counts.not_records) == (3, {"cannot be read": 1})


def test_what_follows_compressed_data_is_left_out_with_a_warning(tmp_path: Path) -> None:
    builders.write_csv(tmp_path / "t.csv", builders.rows(3))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()) + b"garbage")
    opened = builders.opened(tmp_path, "t.csv.gz")
    assert opened.warnings == [f"{tmp_path / 't.csv.gz'}: ignored what follows the compressed data"]
    assert len(opened.all) == 3
