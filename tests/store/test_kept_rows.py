"""A list reads the rows that are kept, and shows none of an object that it would not have been made of."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.privacy.budget import RenyiCurve
from privatekube.resources.block import BlockStatus
from privatekube.resources.list_rows import BlockRow
from privatekube.store.sqlite import kept_rows, schema
from privatekube.store.sqlite.store import SqliteStore
from tests import builders


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    for name in ("a", "b"):
        store.create(builders.block(name))
    store.close()
    return path


def rows_after(path: Path, change: Callable[[str, str], tuple[str, str, bytes | None]] | None = None) -> list[BlockRow]:
    """Return the rows after a change of what is stored of the block `a`: its text, its row and their checksum."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        if change is not None:
            (stored,) = database.execute("SELECT body, list_row FROM resources WHERE id = 'ns/a'")
            database.execute(
                "UPDATE resources SET body = ?, list_row = ?, checksum = ? WHERE id = 'ns/a'", change(*stored)
            )
            database.commit()
    return rows_of_all(path)


def rows_of_all(path: Path) -> list[BlockRow]:
    """Return the rows of the blocks in a file."""
    store = SqliteStore(path)
    rows = store.list_block_rows()
    assert {row.id for row in rows} <= {block.id for block in store.list_blocks()}
    store.close()
    return rows


def checksum_in(path: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as database:
        ((checksum,),) = database.execute("SELECT checksum FROM resources WHERE id = 'ns/a'")
    assert isinstance(checksum, bytes)
    return checksum


def test_a_row_with_its_checksum_is_shown_without_a_look_at_the_object(path: Path) -> None:
    def rewritten(body: str, row: str) -> tuple[str, str, bytes | None]:
        other = json.dumps([*json.loads(row)[:2], "elsewhere", *json.loads(row)[3:]])
        return body, other, kept_rows.checksum(body.encode(), other.encode())

    assert [row.dataset for row in rows_after(path, rewritten)] == ["elsewhere", "d"]


def test_an_object_that_was_changed_by_hand_is_shown_as_it_is_now(path: Path) -> None:
    before = checksum_in(path)
    rows = rows_after(path, lambda body, row: (body.replace('"dataset":"d"', '"dataset":"edited"'), row, before))
    assert [row.dataset for row in rows] == ["edited", "d"]


@pytest.mark.parametrize("kept", ["[]", "{", '["ns","a","x"]'])
def test_a_row_that_was_changed_or_damaged_is_not_shown(path: Path, kept: str) -> None:
    before, whole = checksum_in(path), rows_after(path)
    assert rows_after(path, lambda body, _: (body, kept, before)) == whole


def test_an_object_that_cannot_be_read_is_told_and_not_shown(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = checksum_in(path)
    with caplog.at_level(logging.WARNING):
        rows = rows_after(path, lambda body, row: (body.replace('"epsilon":1.0', '"epsilon":"x"', 1), row, before))
    assert [row.name for row in rows] == ["b"]
    assert "block ns/a is left out: spec.initialBudget.epsDel.epsilon: 'x' must be a number" in caplog.text


def test_an_object_without_a_row_is_shown(path: Path) -> None:
    whole = rows_after(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE resources SET list_row = NULL, checksum = NULL")
        database.commit()
    assert rows_after(path) == whole


def become_earlier(database: sqlite3.Connection) -> None:
    """Make a file one of the version before rows were kept."""
    database.execute("ALTER TABLE resources DROP COLUMN list_row")
    database.execute("ALTER TABLE resources DROP COLUMN checksum")
    database.execute(f"PRAGMA user_version = {schema.ROWS_ARE_KEPT - 1}")


RENAMED = ('"name":"a"', '"name":"z"')
TWO_ACCOUNTINGS = (
    '"spec":',
    '"status":{"pendingBudget":{"epsDel":{"epsilon":1,"delta":0}},'
    '"availableBudget":{"renyi":[{"alpha":2,"epsilon":1}]}},"spec":',
)


@pytest.mark.parametrize(("change", "listed"), [(RENAMED, ["z", "b"]), (TWO_ACCOUNTINGS, ["b"])])
@pytest.mark.parametrize("is_earlier", [False, True])
def test_an_object_of_which_no_row_is_kept_hides_no_other_and_its_file_opens(
    path: Path, change: tuple[str, str], listed: list[str], is_earlier: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE resources SET body = replace(body, ?, ?) WHERE id = 'ns/a'", change)
        if is_earlier:
            become_earlier(database)
        database.commit()
    assert [row.name for row in rows_of_all(path)] == listed
    assert ("block ns/a is left out: budget types do not match" in caplog.text) == (len(listed) == 1)


def test_an_object_is_written_though_no_row_can_be_made_of_it(path: Path) -> None:
    store = SqliteStore(path)
    block = store.list_blocks()[0]
    other = RenyiCurve((2.0,), (1.0,))
    store.update_status(replace(block, status=BlockStatus(pending=block.spec.initial_budget, available=other)))
    store.close()
    assert [row.name for row in rows_of_all(path)] == ["b"]


def test_a_file_in_which_no_row_can_be_written_stays_one_of_the_earlier_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        become_earlier(database)
        database.execute("CREATE TRIGGER full BEFORE UPDATE ON resources BEGIN SELECT raise(ABORT, 'no space'); END")
        database.commit()
        with pytest.raises(errors.InvalidInput, match="no space"):
            SqliteStore(path)
        assert database.execute("PRAGMA user_version").fetchone() == (schema.ROWS_ARE_KEPT - 1,)
