"""A connection to one SQLite file: statements that wait for others, transactions that nest, errors in words."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from privatekube import errors

BUSY_SECONDS = 60
_STEP_SECONDS = 0.2  # how long SQLite waits by itself: it does not hear Ctrl-C meanwhile


class Connection:
    """One file, opened.

    Raises:
        InvalidInput: the file is no database, or cannot be written.
        StoreBusy: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._depth = path, 0
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_STEP_SECONDS, isolation_level=None)

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run one statement; while another process holds the file, try again."""
        deadline = time.monotonic() + BUSY_SECONDS
        with self._translated():
            while True:
                try:
                    return self._db.execute(statement, values).fetchall()
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

    @contextlib.contextmanager
    def transaction(self, *, at_end: Callable[[], None], undone: Callable[[], None]) -> Iterator[None]:
        """A write transaction from the start, so that what is read in it is what is written on; nests.

        Args:
            at_end: called before the outermost one is committed.
            undone: called when it is not.
        """
        if self._depth:
            yield
            return
        self.rows("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            at_end()
            self.rows("COMMIT")
        except BaseException:
            undone()
            if self._db.in_transaction:  # SQLite ends it by itself when the disk is full
                self.rows("ROLLBACK")
            raise
        finally:
            self._depth = 0

    def close(self) -> None:
        """Give back the file."""
        self._db.close()

    def refused(self, fault: str, remedy: str) -> errors.InvalidInput:
        """Why this file cannot be used."""
        return errors.invalid("store", str(self._path), fault, remedy)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Foreign errors in this project's words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                message = f"store: {self._path} is held by another process for over {BUSY_SECONDS} s; try again later"
                raise errors.StoreBusy(message) from error
            raise self.refused(f"cannot be used ({error})", "check path and disk") from error
        except (sqlite3.DatabaseError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self.refused(f"is no store ({reason})", "name another file") from error


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
