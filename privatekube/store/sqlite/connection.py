"""A connection to one SQLite file: statements that wait for other processes, nested transactions, translated errors."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from privatekube import errors, retries
from privatekube.storage import private_files

BUSY_SECONDS = 60.0
_BESIDE = ("", "-wal", "-shm", "-journal")
"""SQLite's files of one database: it gives the others the permissions of the first when it creates them."""
IN_MEMORY = Path(":memory:")
"""Not a file: SQLite keeps the database in memory."""
_LOCK_SECONDS = 0.2  # how long SQLite waits for a lock; it does not react to Ctrl-C in the meantime
_BACK_OFF = retries.BackOff(first_seconds=0.01, longest_seconds=0.01)


class Connection:
    """One open file.

    Raises:
        InvalidInput: the file is not a database, or cannot be written.
        StoreBusy: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._depth, self._begin = path, 0, "BEGIN IMMEDIATE"
        with self._translated():
            if path != IN_MEMORY:
                private_files.create(path)
            self._db = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)

    def define(self, name: str, function: Callable[..., bytes | None]) -> None:
        """Define a function for statements, whose result depends on its arguments alone."""
        self._db.create_function(name, -1, function, deterministic=True)

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run one statement and return its rows; while another process holds the file, try again."""

        def execute() -> list[Any]:
            with self._translated():
                return self._db.execute(statement, values).fetchall()

        try:
            return execute()  # setting up retries takes ten times as long as most statements
        except errors.StoreBusy:
            return retries.call(execute, on=errors.StoreBusy, timeout_seconds=BUSY_SECONDS, back_off=_BACK_OFF)

    @contextlib.contextmanager
    def transaction(self, *, before_commit: Callable[[], None], on_rollback: Callable[[], None]) -> Iterator[None]:
        """Run a write transaction, which takes the write lock before it reads anything; it nests.

        Args:
            before_commit: called at the end of the outermost transaction, inside it.
            on_rollback: called when the transaction fails.
        """
        if self._depth:
            yield
            return
        self.rows(self._begin)
        self._depth = 1
        try:
            yield
            before_commit()
            self.rows("COMMIT")
        except BaseException:
            on_rollback()
            if self._db.in_transaction:  # SQLite rolls back on its own when the disk is full
                self.rows("ROLLBACK")
            raise
        finally:
            self._depth = 0

    def forbid_writes(self) -> None:
        """Have SQLite refuse every change from now on; a transaction only reads one state, and holds up nobody."""
        self.rows("PRAGMA query_only = ON")
        self._begin = "BEGIN"

    def make_private(self) -> None:
        """Take the file and those that SQLite has beside it from all but their owner: they hold secrets.

        Raises:
            InvalidInput: it belongs to somebody else.
        """
        for suffix in _BESIDE if self._path != IN_MEMORY else ():
            private_files.close(self._path.with_name(self._path.name + suffix))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def invalid(self, fault: str, remedy: str) -> errors.InvalidInput:
        """Return the error that says why this file cannot be used."""
        return errors.invalid("store", str(self._path), fault, remedy)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate SQLite's errors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                message = f"store: {self._path} is held by another process for over {BUSY_SECONDS:g} s; try again later"
                raise errors.StoreBusy(message) from error
            raise self.invalid(f"cannot be used ({error})", "check path and disk") from error
        except (sqlite3.DatabaseError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self.invalid(f"is not a store ({reason})", "name another file") from error


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
