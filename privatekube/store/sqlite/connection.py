"""A connection to one SQLite file: statements that wait for other processes, nested transactions, translated errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from privatekube import errors, retries

BUSY_SECONDS = 60.0
IN_MEMORY = Path(":memory:")
"""Not a file: SQLite keeps the database in memory."""
_LOCK_SECONDS = 0.2  # how long SQLite waits for a lock; it does not react to Ctrl-C in the meantime
_OWNER_ONLY = 0o600
_BACK_OFF = retries.BackOff(first_seconds=0.01, longest_seconds=0.01)


class Connection:
    """One open file.

    Raises:
        InvalidInput: the file is not a database, or cannot be written.
        StoreBusy: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._depth = path, 0
        with self._translated():
            if path != IN_MEMORY:
                _create_private(path)
            self._db = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)

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
        self.rows("BEGIN IMMEDIATE")
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


def _create_private(path: Path) -> None:
    """Create a file that its owner alone can read, for it will hold secrets; one that exists is left unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY))


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
