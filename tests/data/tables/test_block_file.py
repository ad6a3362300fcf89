"""A block of a table comes back as it was written; what is altered or not as declared is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from privatekube import errors
from privatekube.data import any_block, sealed_file
from privatekube.data import block_file as review_file
from privatekube.data.metadata import Cut
from privatekube.data.tables import block_file
from privatekube.data.tables.block_file import TableBlock
from privatekube.data.tables.table import Table
from privatekube.privacy.unit import PrivacyUnit
from tests.data import test_block_file as review_blocks
from tests.data.tables import builders

CUT = Cut(
    dataset="visits",
    start_day=4017,
    end_day=4382,
    bucket=0,
    n_buckets=2,
    partition_key_id="key",
    unit=PrivacyUnit.USER_DAY,
    max_contribution=2,
)


def table(folder: Path, count: int = 30) -> Table:
    opened = builders.table_of(folder, builders.rows(count))
    table: Table = opened.all
    return table


def block(of: Table, cut: Cut = CUT) -> TableBlock:
    return TableBlock(of, cut, "sha256:none")


def written(folder: Path, of: Table, cut: Cut = CUT) -> tuple[Path, str]:
    data, digest = sealed_file.encode(block_file.content(of, cut))
    (folder / "b.h5").write_bytes(data)
    return folder / "b.h5", digest


@pytest.mark.parametrize("count", [30, 0])
def test_a_block_comes_back_as_it_was(tmp_path: Path, count: int) -> None:
    whole = table(tmp_path).select(np.arange(count))
    path, digest = written(tmp_path, whole)
    read = any_block.read_block(path, digest=digest)
    assert isinstance(read, TableBlock)
    assert (read.cut, read.digest) == (CUT, digest)
    assert read.table.layout == whole.layout
    for name in whole.layout.kinds:
        assert read.table.values[name].dtype == whole.values[name].dtype
        assert read.table.values[name].tolist() == whole.values[name].tolist()
    assert read.table.texts["note"].ids.tolist() == whole.texts["note"].ids.tolist()
    assert (read.table.user.tolist(), read.table.time.tolist()) == (whole.user.tolist(), whole.time.tolist())


def test_the_layout_of_the_file_is_the_documented_one(tmp_path: Path) -> None:
    path, digest = written(tmp_path, table(tmp_path))
    with h5py.File(path) as file:
        assert sorted(file) == ["text", "time", "user", "values"]
        assert sorted(file["values"]) == ["age", "height", "returned", "ward"]
        assert sorted(file["text/note"]) == ["ids", "offsets"]
        assert (file.attrs["format"], file.attrs["digest"]) == ("privatekube-table/1", digest)
        assert (file.attrs["unit"], file.attrs["start_day"]) == ("user-day", 4017)


def test_reviews_are_read_by_the_same_function(tmp_path: Path) -> None:
    digest = review_file.write(tmp_path / "r.h5", review_blocks.reviews(), review_blocks.metadata())
    read = any_block.read_block(tmp_path / "r.h5", digest=digest)
    assert len(read.records) == 4
    assert read.cut == review_blocks.metadata().cut
    with pytest.raises(errors.CorruptData, match="is not a privatekube-table/1 file"):
        block_file.decode((tmp_path / "r.h5").read_bytes(), name="r.h5")
    path, _ = written(tmp_path, table(tmp_path))
    with pytest.raises(errors.CorruptData, match="is a privatekube-table/1 file, not one of reviews; claim blocks of"):
        review_file.read(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file["values/age"].__setitem__(0, 121),
        lambda file: file["values/age"].__setitem__(0, (file["values/age"][0] + 1) % 120),
        lambda file: file["values/height"].__setitem__(0, np.nan),
        lambda file: file["values/ward"].__setitem__(0, 3),
        lambda file: file["text/note/ids"].__setitem__(0, 99),
        lambda file: file["text/note/offsets"].__setitem__(1, -1),
        lambda file: file["time"].__setitem__(0, 0),
        lambda file: file.__delitem__("user"),
        lambda file: file.attrs.__setitem__("layout", "{}"),
        lambda file: file.attrs.__setitem__("unit", "event"),
        lambda file: file.attrs.__setitem__("n_buckets", 3),
    ],
)
def test_a_file_that_was_altered_is_refused(tmp_path: Path, damage: object) -> None:
    path, _ = written(tmp_path, table(tmp_path))
    with h5py.File(path, "a") as file:
        damage(file)  # type: ignore[operator]
    with pytest.raises(errors.CorruptData, match="altered"):
        any_block.read_block(path)


def test_records_that_contradict_what_is_declared_are_not_written(tmp_path: Path) -> None:
    whole = table(tmp_path)
    with pytest.raises(errors.InvalidInput, match="a record lies outside the declared days"):
        block_file.content(whole, replace(CUT, end_day=4017))
    for name, value in (("age", 121), ("height", np.nan), ("ward", 3), ("returned", -1)):
        column = whole.values[name].copy()
        column[0] = value
        with pytest.raises(errors.InvalidInput, match=f"column {name} has a value outside what is declared"):
            block_file.content(replace(whole, values={**whole.values, name: column}), CUT)
    texts = {"note": replace(whole.texts["note"], ids=whole.texts["note"].ids + 99)}
    with pytest.raises(errors.InvalidInput, match="column note has a token outside the vocabulary"):
        block_file.content(replace(whole, texts=texts), CUT)


def test_columns_that_are_not_those_of_the_layout_are_refused(tmp_path: Path) -> None:
    whole = table(tmp_path)
    for values in ({}, {**whole.values, "age": whole.values["age"].astype(float)}):
        with pytest.raises(errors.InvalidInput, match="its columns are not those of its layout"):
            replace(whole, values=values)
    with pytest.raises(errors.InvalidInput, match="its columns differ in length"):
        replace(whole, time=whole.time[1:])


def test_another_block_than_the_digest_says_is_refused(tmp_path: Path) -> None:
    path, _ = written(tmp_path, table(tmp_path))
    with pytest.raises(errors.CorruptData, match="does not have the digest sha256:0"):
        any_block.read_block(path, digest="sha256:0")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(errors.CorruptData, match="truncated"):
        any_block.read_block(path)
    with pytest.raises(errors.NotFound, match="does not exist"):
        any_block.read_block(tmp_path / "nowhere.h5")


def test_a_thousand_keys_fit_in_a_file(tmp_path: Path) -> None:
    keys = [f"{number}-{'x' * 90}" for number in range(2000)]
    changes = {"features": {"ward": {"type": "category", "keys": ["A", *keys]}}, "label": None}
    opened = builders.table_of(tmp_path, [row | {"ward": "A"} for row in builders.rows(3)], changes)
    path, digest = written(tmp_path, opened.all)
    read = any_block.read_block(path, digest=digest)
    assert isinstance(read, TableBlock)
    assert read.table.layout == opened.all.layout


def test_merging_keeps_all_records_and_spans_days_and_buckets(tmp_path: Path) -> None:
    whole = table(tmp_path)
    first, second = block(whole), block(whole, replace(CUT, bucket=1, end_day=5000))
    merged = block_file.merge([first, second])
    assert len(merged.table) == 60
    assert (merged.cut.bucket, merged.cut.n_buckets, merged.cut.end_day) == (0, 1, 5000)
    with pytest.raises(errors.CorruptData, match="a user-day has more records than 2"):
        block_file.require_bound(block_file.merge([merged, merged]))


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (replace(CUT, unit=PrivacyUnit.USER), "unit differs: user-day and user"),
        (replace(CUT, max_contribution=3), "max_contribution differs: 2 and 3"),
        (replace(CUT, dataset="other"), "dataset differs"),
    ],
)
def test_blocks_of_different_kinds_are_not_merged(tmp_path: Path, cut: Cut, expected: str) -> None:
    whole = table(tmp_path)
    with pytest.raises(errors.InvalidInput, match=expected):
        block_file.merge([block(whole), block(whole, cut)])
    users = replace(CUT, unit=PrivacyUnit.USER)
    with pytest.raises(errors.InvalidInput, match="their days differ"):
        block_file.merge([block(whole, users), block(whole, replace(users, end_day=5000))])
    fewer = builders.table_of(tmp_path, builders.rows(3), {"text": None})
    with pytest.raises(errors.InvalidInput, match="their columns differ"):
        block_file.merge([block(whole), block(fewer.all)])
    with pytest.raises(errors.InvalidInput, match="none to merge"):
        block_file.merge([])
