"""The SQLite store: several processes, files of other programs, a full disk, a killed process."""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources.block import BlockStatus
from privatekube.resources.retired_data import RetiredData
from privatekube.store.sqlite import store as sqlite_store
from privatekube.store.sqlite.store import SqliteStore
from tests import builders


def _increment(path: Path, times: int) -> None:
    store = SqliteStore(path)
    for _ in range(times):
        with store.transaction():
            count = int(store.settings().get("count", "0"))
            store.set_setting("count", str(count + 1))
    store.close()


def test_transactions_of_several_processes_do_not_interleave(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_increment, args=(path, 40)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    store = SqliteStore(path)
    assert store.settings()["count"] == "120"
    store.close()


def test_a_file_that_is_not_a_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("not a database, but long enough to look like one " * 50)
    with pytest.raises(errors.InvalidInput, match=r"store: .*state\.db.* name another file"):
        SqliteStore(path)


def test_a_path_that_cannot_be_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.InvalidInput, match=rf"^file: {tmp_path}/file cannot be used, not a directory; [^\n]*$"):
        SqliteStore(tmp_path / "file" / "state.db")
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.InvalidInput, match="store: "):
        SqliteStore(tmp_path / "folder")


def test_a_store_of_a_newer_version_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(errors.InvalidInput, match="newer version"):
        SqliteStore(path)


def test_a_store_of_version_1_gets_a_ledger_that_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    status = BlockStatus(EpsilonDelta(0.6), EpsilonDelta(0.0), committed={"ns/c": EpsilonDelta(0.4)})
    store = SqliteStore(path)
    store.create(replace(builders.block(budget=EpsilonDelta(1.0)), status=status))
    store.retire(RetiredData("d", "sha256:1", "ns/old", EpsilonDelta(1.0), {"ns/c": EpsilonDelta(0.5)}))
    store.close()
    with sqlite3.connect(path) as database:
        for table in ("ledger", "secrets", "identities", "quotas", "approvals"):
            database.execute(f"DROP TABLE {table}")
        for column in ("list_row", "checksum"):
            database.execute(f"ALTER TABLE resources DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
    database.close()
    store = SqliteStore(path)
    assert [entry.amount.epsilon for entry in store.ledger()] == [0.4, 0.5]  # type: ignore[union-attr]
    assert ledger_audit.verify(store).entries == 2
    store.close()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


PRIVATE = {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_a_new_store_and_what_sqlite_has_beside_it_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    store.ensure_secret("data-owner-key", b"secret")
    assert modes(tmp_path) == PRIVATE
    store.close()


def test_a_store_that_was_left_open_is_closed_to_others_when_it_is_used(tmp_path: Path) -> None:
    user = SqliteStore(tmp_path / "state.db")  # another process that still uses it
    user.ensure_secret("data-owner-key", b"secret")
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    store = SqliteStore(tmp_path / "state.db")
    assert modes(tmp_path) == PRIVATE
    store.close()
    user.close()


def test_a_database_of_another_program_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (x)")
    database.close()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(errors.InvalidInput, match="another program's database"):
        SqliteStore(path)
    assert path.read_bytes() == before
    assert modes(tmp_path) == {"other.db": 0o644}


def test_ctrl_c_ends_waiting_for_another_process(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    holder, waiter = SqliteStore(path), SqliteStore(path)
    with holder.transaction():
        threading.Timer(0.3, _thread.interrupt_main, (signal.SIGINT,)).start()
        with pytest.raises(KeyboardInterrupt):
            waiter.set_setting("order", "fcfs")
    waiter.set_setting("order", "fcfs")
    assert holder.settings() == {"order": "fcfs"}
    holder.close()
    waiter.close()


def test_a_store_that_stays_locked_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privatekube.store.sqlite.connection.BUSY_SECONDS", 0.1)
    path = tmp_path / "state.db"
    holder, waiter = SqliteStore(path), SqliteStore(path)
    with holder.transaction(), pytest.raises(errors.StoreBusy, match="held by another process"):
        waiter.set_setting("order", "fcfs")
    holder.close()
    waiter.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from privatekube import errors
from privatekube.reconcile import ledger_audit
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import BlockStatus
from privatekube.resources.retired_data import RetiredData
from privatekube.store.sqlite import store as sqlite_store
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
store = SqliteStore(Path(sys.argv[1]))
store.create(builders.block("before"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for number in range(10_000):
        store.create(builders.block(f"b{number}"))
except errors.InvalidInput as error:
    print(error)
"""


def test_a_full_disk_is_reported_in_one_line_and_keeps_earlier_writes(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    root = Path(__file__).resolve().parents[2]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=200).stdout
    assert output.startswith("store: ")
    assert "check path and disk" in output
    store = SqliteStore(path)
    names = [block.meta.name for block in store.list_blocks()]
    assert names[0] == "before"
    assert names[1:] == [f"b{number}" for number in range(len(names) - 1)]
    store.close()


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from privatekube.store.sqlite import store as sqlite_store
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
store = SqliteStore(Path(sys.argv[1]))
with store.transaction():
    store.create(builders.block("lost"))
    store.list_blocks()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_in_a_transaction_leaves_nothing_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    kept = store.create(builders.block("kept"))
    command = [sys.executable, "-c", KILLED, str(path)]
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run(command, cwd=root, check=False, timeout=200).returncode == -signal.SIGKILL
    assert store.list_blocks() == [kept]
    store.update(replace(kept, meta=replace(kept.meta, annotations={"note": "written"})))
    store.close()


def test_a_list_reads_what_has_changed_a_few_at_a_time_and_keeps_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "_READ_AT_ONCE", 2)
    path = tmp_path / "state.db"
    names = ["e", "b", "d", "a", "c"]
    with contextlib.closing(SqliteStore(path)) as writer, contextlib.closing(SqliteStore(path)) as reader:
        for name in names:
            writer.create(builders.block(name))
        assert [block.meta.name for block in reader.list_blocks()] == names
        changed = writer.list_blocks()[1]
        writer.update_status(replace(changed, status=BlockStatus(changed.spec.initial_budget, EpsilonDelta(0.0))))
        assert [block.meta.name for block in reader.list_blocks() if block.status] == ["b"]
