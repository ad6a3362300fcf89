"""Files of JSON lines are unpacked as gzip(1) does, and a category has a printable name."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.data import json_lines

TEXT = b"one\ntwo\n"


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "has_trailing_garbage"),
    [
        (TEXT, False),
        (gzip.compress(TEXT), False),
        (gzip.compress(TEXT[:4]) + gzip.compress(TEXT[4:]), False),
        (gzip.compress(TEXT) + bytes(600), False),
        (gzip.compress(TEXT) + b"garbage", True),
    ],
    ids=["plain", "gzip", "two members", "padding", "trailing garbage"],
)
def test_a_file_is_read_as_gzip_reads_it(tmp_path: Path, data: bytes, has_trailing_garbage: bool) -> None:
    content = json_lines.read(write(tmp_path / "a.jsonl.gz", data))
    assert content.lines == [b"one", b"two", b""]
    assert content.has_trailing_garbage is has_trailing_garbage


@pytest.mark.parametrize("size", [4, 12, -1])
def test_a_gzip_file_that_is_cut_is_refused(tmp_path: Path, size: int) -> None:
    file = write(tmp_path / "a.jsonl.gz", gzip.compress(TEXT)[:size])
    with pytest.raises(errors.CorruptData, match=r"a\.jsonl\.gz is not a whole gzip file"):
        json_lines.read(file)


def test_a_large_file_of_many_members_is_read_whole(tmp_path: Path) -> None:
    member = os.urandom(700_000).hex().encode() + b"\n"
    content = json_lines.read(write(tmp_path / "a.gz", gzip.compress(member, 1) * 3))
    assert content.lines == [member[:-1]] * 3 + [b""]


@pytest.mark.parametrize("name", ["a\nb.json", ".json", os.fsdecode(b"caf\xe9.json")])
def test_a_category_without_a_printable_name_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, TEXT)
    with pytest.raises(errors.InvalidInput, match="is not printable text; rename the file"):
        json_lines.files_by_category(str(tmp_path))
