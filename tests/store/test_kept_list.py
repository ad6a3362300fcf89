"""The list that a SQLite store keeps: the same as what another process finds that opens the file now."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.examples import examples

NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.tuples(st.sampled_from(["create", "write", "delete", "list", "undo"]), st.integers(0, 1), NAMES)


class UndoneError(Exception):
    """Ends a transaction that is taken back."""


def step(store: SqliteStore, action: str, name: str) -> None:
    """Do something about a block, if that can be done now."""
    found = store.get_block(f"ns/{name}")
    if action == "list":
        store.list_blocks()
    elif action == "create" and found is None:
        store.create(builders.block(name))
    elif action == "write" and found is not None:
        store.update_status(found)
    elif action == "delete" and found is not None:
        store.delete(found)
    elif action == "undo":
        with contextlib.suppress(UndoneError), store.transaction():
            for inner in ("delete", "create", "list"):
                step(store, inner, name)
            raise UndoneError


@settings(max_examples=examples(60))
@given(st.lists(STEPS, max_size=20))
@example([("create", 0, "a"), ("create", 0, "b"), ("list", 1, "a"), ("delete", 0, "a"), ("create", 0, "a")])
@example([("create", 0, "a"), ("list", 1, "a"), ("delete", 0, "a"), ("create", 0, "b")])
@example([("create", 0, "a"), ("create", 0, "b"), ("list", 0, "a"), ("undo", 0, "a")])
def test_two_processes_list_what_a_third_one_finds_that_opens_the_file_afterwards(
    steps: list[tuple[str, int, str]],
) -> None:
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder, "state.db")
        stores = [stack.enter_context(contextlib.closing(SqliteStore(path))) for _ in range(2)]
        for action, number, name in steps:
            step(stores[number], action, name)
        fresh = stack.enter_context(contextlib.closing(SqliteStore(path)))
        for store in stores:
            assert store.list_blocks() == fresh.list_blocks()
            assert store.list_blocks("ns") == fresh.list_blocks("ns")
            assert store.list_blocks("other") == []


def test_a_block_that_could_not_be_read_is_listed_once_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with contextlib.closing(SqliteStore(path)) as writer:
        written = writer.create(builders.block("a"))
    with contextlib.closing(sqlite3.connect(path)) as file, contextlib.closing(SqliteStore(path)) as store:
        (body,) = file.execute("SELECT body FROM resources").fetchone()
        file.execute("UPDATE resources SET body = '{'")
        file.commit()
        assert store.list_blocks() == []
        assert [fault.name for fault in store.unreadable()] == [errors.ResourceName(errors.ResourceKind.BLOCK, "ns/a")]
        file.execute("UPDATE resources SET body = ?", (body,))
        file.commit()
        assert store.list_blocks() == [written]
        assert store.unreadable() == []


def test_a_block_that_could_not_be_read_and_is_created_again_is_listed_where_it_is_created(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with (
        contextlib.closing(SqliteStore(path)) as writer,
        contextlib.closing(SqliteStore(path)) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file,
    ):
        writer.create(builders.block("a"))
        file.execute("UPDATE resources SET body = '{'")
        assert store.list_blocks() == []
        file.execute("DELETE FROM resources")
        written = [writer.create(builders.block(name)) for name in "ba"]
        assert store.list_blocks() == written


def test_an_earlier_copy_that_is_put_into_an_open_file_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with (
        contextlib.closing(SqliteStore(path)) as store,
        contextlib.closing(sqlite3.connect(path)) as file,
        contextlib.closing(sqlite3.connect(":memory:")) as copy,
    ):
        earlier = [store.create(builders.block(name)) for name in "ab"]
        file.backup(copy)
        store.update_status(earlier[0])
        store.delete(earlier[1])
        store.create(builders.block("c"))
        assert store.list_blocks() != earlier
        copy.backup(file)
        assert store.list_blocks() == earlier
