"""Many blocks are one folder of columns, which are read where they are used; a folder that was altered is refused."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from privatekube import errors
from privatekube.data import any_block, block_file, columns, stored_block
from privatekube.data.any_block import AnyBlock
from privatekube.data.tables.block_file import TableBlock
from tests.data import test_block_file
from tests.data.tables import test_block_file as table_tests

SOURCE: dict[str, str | None] = {"ns/b0": "hmac-sha256:0", "ns/b1": None}


def block(count: int = 4, **changes: object) -> block_file.Block:
    return block_file.Block(test_block_file.reviews(count), test_block_file.metadata(**changes), "digest")


def table_block(folder: Path) -> TableBlock:
    return table_tests.block(table_tests.table(folder))


def stored(folder: Path, *blocks: AnyBlock) -> Path:
    stored_block.write(folder, blocks, source=SOURCE)
    return folder


@pytest.mark.parametrize("counts", [(4,), (4, 0, 7), (0, 0), (0, 3)])
def test_reviews_come_back_as_if_their_blocks_were_merged_in_memory(tmp_path: Path, counts: tuple[int, ...]) -> None:
    blocks = [block(count, bucket=number % 2) for number, count in enumerate(counts)]
    read, merged = stored_block.read(stored(tmp_path / "data", *blocks), source=SOURCE), block_file.merge(blocks)
    assert isinstance(read, block_file.Block)
    assert read.metadata == merged.metadata
    for name in columns.COLUMNS:
        np.testing.assert_array_equal(getattr(read.reviews, name), getattr(merged.reviews, name))
        assert getattr(read.reviews, name).dtype == getattr(merged.reviews, name).dtype


def test_a_table_comes_back_as_if_its_blocks_were_merged_in_memory(tmp_path: Path) -> None:
    blocks = [table_block(tmp_path), table_block(tmp_path)]
    read, merged = stored_block.read(stored(tmp_path / "data", *blocks)), any_block.merge(blocks)
    assert isinstance(read, TableBlock)
    assert isinstance(merged, TableBlock)
    assert read.cut == merged.cut
    assert read.content.digest == merged.content.digest


def test_nothing_but_what_is_used_is_read_into_memory_and_another_process_maps_the_same_files(tmp_path: Path) -> None:
    reviews = stored_block.read_reviews(stored(tmp_path / "data", block(), block())).reviews
    assert not reviews.tokens.flags.writeable
    rows = np.array([1, 6])
    excerpt, same = reviews.excerpt(rows)
    assert excerpt is reviews
    assert same is rows
    again = pickle.loads(pickle.dumps(reviews))  # noqa: S301 - made here
    assert len(pickle.dumps(reviews)) < 1000
    assert again.tokens.tolist() == reviews.tokens.tolist()
    assert reviews.select(rows).tokens.tolist() == [0, 1, 2]


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = stored(tmp_path / "data", block())
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")


@pytest.mark.parametrize("fault", [truncate, alter, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["000.npy", "006.npy", "007.npy", stored_block.MANIFEST])
def test_a_file_that_was_altered_cut_off_or_removed_is_found(
    tmp_path: Path, name: str, fault: Callable[[Path], None]
) -> None:
    folder = stored(tmp_path / "data", block())
    fault(folder / name)
    with pytest.raises(errors.CorruptData, match=r"^data: .*altered.*; start a new run$"):
        stored_block.read(folder)


def test_a_header_that_was_altered_is_found(tmp_path: Path) -> None:
    path = stored(tmp_path / "data", block()) / "000.npy"
    path.write_bytes(path.read_bytes().replace(b"(4,)", b"(3,)"))
    with pytest.raises(errors.CorruptData, match="altered"):
        stored_block.read(path.parent)


def test_other_blocks_than_those_of_the_grant_are_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "data", block())
    for other in ({"ns/b0": "hmac-sha256:0"}, SOURCE | {"ns/b1": "hmac-sha256:1"}):
        with pytest.raises(errors.CorruptData, match="is of other blocks"):
            stored_block.read(folder, source=other)


def test_blocks_of_several_kinds_are_not_stored_as_one(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="categories differs"):
        stored(tmp_path / "data", block(), block(categories=("a", "b", "c")))
    with pytest.raises(errors.InvalidInput, match="of reviews and of a table"):
        stored(tmp_path / "other", block(), table_block(tmp_path))


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(errors.InvalidInput, match=r"cannot be used, not a directory"):
        stored(tmp_path / "data", block())


def test_a_table_is_not_taken_for_reviews(tmp_path: Path) -> None:
    with pytest.raises(errors.CorruptData, match="are of a table, not of reviews"):
        stored_block.read_reviews(stored(tmp_path / "data", table_block(tmp_path)))


def test_blocks_are_forgotten_once_they_are_written(tmp_path: Path) -> None:
    taken: list[weakref.ref[AnyBlock]] = []

    def blocks() -> Iterator[AnyBlock]:
        for number in range(10):
            assert sum(reference() is not None for reference in taken) <= 2  # the first one says what kind they are of
            one = block(number)
            taken.append(weakref.ref(one))
            yield one
            del one

    stored_block.write(tmp_path / "data", blocks(), source=SOURCE)
    assert len(taken) == 10
