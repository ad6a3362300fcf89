"""The embedded store: one SQLite file, safe with several processes and against a crash at any moment."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from privatekube import errors
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import rows
from privatekube.store.base import R, Resource, RetiredData

BUSY_SECONDS = 60
_STEP_SECONDS = 0.2  # how long SQLite waits by itself: it does not hear Ctrl-C meanwhile


class SqliteStore:
    """A ResourceStore in one file; see `base.ResourceStore` for the methods.

    What was read stays decoded until its version changes, and what a transaction writes goes to the file at its end: a
    pass encodes and decodes each resource at most once.

    Args:
        path: the file; it and its folder are made where they are missing.
        clock: unix milliseconds.

    Raises:
        InvalidInput: the file is no store, of a newer version, or cannot be written.
        StoreBusy: another process holds it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._path, self._clock, self._depth = path, clock, 0
        self._known: dict[tuple[str, str], Any] = {}
        self._unsaved: dict[tuple[str, str], Any] = {}
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_STEP_SECONDS, isolation_level=None)
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """See the protocol."""
        return cast("PrivateDataBlock | None", self._get(rows.BLOCK, block_id))

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """See the protocol."""
        return cast("PrivacyBudgetClaim | None", self._get(rows.CLAIM, claim_id))

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol."""
        return self._listed(rows.BLOCK, namespace, open_only=False)

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol."""
        return self._listed(rows.CLAIM, namespace, open_only=open_only)

    def create(self, resource: R) -> R:
        """See the protocol."""
        kind = rows.kind(resource)
        identity = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self._clock(), generation=1)
        body = rows.encode(replace(resource, meta=identity))
        with self.transaction():
            version = self._next()
            created: R = rows.decode(kind, version, body)  # raises before anything is written that cannot be read
            row = (kind, created.id, created.meta.namespace, version, version, rows.is_open(created), body)
            try:
                self._rows("INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
            except sqlite3.IntegrityError as error:
                taken = f"{kind} {created.id}: exists already; choose another name, or delete it first"
                raise errors.AlreadyExists(taken) from error
            self._known[kind, created.id] = created
        return created

    def update(self, resource: R) -> R:
        """See the protocol."""
        with self.transaction():
            current = self._current(resource)
            generation = current.meta.generation + (current.spec != resource.spec)
            merged = replace(resource, meta=replace(resource.meta, generation=generation), status=current.status)
            rows.decode(rows.kind(merged), 0, rows.encode(merged))  # raises if nobody could read it
            return self._written(merged)

    def update_status(self, resource: R) -> R:
        """See the protocol."""
        with self.transaction():
            return self._written(cast("R", replace(self._current(resource), status=resource.status)))

    def delete(self, resource: Resource) -> None:
        """See the protocol."""
        with self.transaction():
            self._current(resource)
            key = (rows.kind(resource), resource.id)
            self._rows("DELETE FROM resources WHERE kind = ? AND id = ?", *key)
            self._known.pop(key, None)
            self._unsaved.pop(key, None)

    def retire(self, data: RetiredData) -> None:
        """See the protocol."""
        with self.transaction():
            self._rows("INSERT OR REPLACE INTO retired VALUES (?, ?, ?)", data.dataset, data.digest, data.to_json())

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """See the protocol."""
        found = self._rows("SELECT body FROM retired WHERE dataset = ? AND digest = ?", dataset, digest)
        return RetiredData.from_json(dataset, digest, found[0][0]) if found else None

    def settings(self) -> dict[str, str]:
        """See the protocol."""
        return dict(self._rows("SELECT name, value FROM settings"))

    def set_setting(self, name: str, value: str) -> None:
        """See the protocol."""
        with self.transaction():
            self._rows("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, value)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction from the start, so that what is read in it is what is written on."""
        if self._depth:
            yield
            return
        self._rows("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self._save()
            self._rows("COMMIT")
        except BaseException:
            self._known.clear()  # what it holds may never have been
            self._unsaved.clear()
            if self._db.in_transaction:  # SQLite ends it by itself when the disk is full
                self._rows("ROLLBACK")
            raise
        finally:
            self._depth = 0

    def close(self) -> None:
        """See the protocol."""
        self._db.close()

    def _open(self) -> None:
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = self._rows("PRAGMA user_version")[0][0]
        if version > rows.SCHEMA_VERSION and (not tables or "resources" in tables):
            raise self._refused("is of a newer version", "use a newer privatekube")
        if tables and "resources" not in tables:
            raise self._refused("is another program's database", "name another file")
        self._rows("PRAGMA journal_mode = WAL")
        self._rows("PRAGMA synchronous = FULL")
        with self.transaction():
            if self._rows("PRAGMA user_version")[0][0] == 0:
                for statement in rows.SCHEMA.split(";"):
                    self._rows(statement)
                self._rows(f"PRAGMA user_version = {rows.SCHEMA_VERSION}")

    def _listed(self, kind: str, namespace: str | None, *, open_only: bool) -> list[Any]:
        self._save()
        values = [kind] if namespace is None else [kind, namespace]
        where = "kind = ?" + " AND namespace = ?" * (namespace is not None) + " AND open = 1" * open_only
        query = f"SELECT id, version FROM resources WHERE {where} ORDER BY position"  # noqa: S608 - no value in it
        found = self._rows(query, *values)
        return [each for row in found if (each := self._decoded(kind, *row)) is not None]

    def _get(self, kind: str, resource_id: str) -> Any:
        if (kind, resource_id) in self._unsaved:
            return self._unsaved[kind, resource_id]
        found = self._rows("SELECT version FROM resources WHERE kind = ? AND id = ?", kind, resource_id)
        return self._decoded(kind, resource_id, found[0][0]) if found else None

    def _decoded(self, kind: str, resource_id: str, version: int) -> Any:
        """The resource as of `version` or later; None where it was deleted meanwhile."""
        known = self._known.get((kind, resource_id))
        if known is not None and known.meta.resource_version == str(version):
            return known
        found = self._rows("SELECT version, body FROM resources WHERE kind = ? AND id = ?", kind, resource_id)
        if found:
            self._known[kind, resource_id] = rows.decode(kind, *found[0])
        return self._known[kind, resource_id] if found else None

    def _current(self, resource: Resource) -> Any:
        """What is stored, if nobody wrote since `resource` was read."""
        current = self._get(rows.kind(resource), resource.id)
        if current is None:
            raise errors.NotFound(f"{rows.kind(resource)} {resource.id}: is gone; list what is there")
        if current.meta.resource_version != resource.meta.resource_version:
            raise errors.Conflict(f"{rows.kind(resource)} {resource.id}: was changed meanwhile; read it again")
        return current

    def _written(self, resource: R) -> R:
        key = (rows.kind(resource), resource.id)
        self._known[key] = self._unsaved[key] = written = rows.versioned(resource, self._next())
        return written

    def _save(self) -> None:
        """Write what the transaction has not written yet."""
        for (kind, resource_id), each in self._unsaved.items():
            self._rows(
                "UPDATE resources SET version = ?, open = ?, body = ? WHERE kind = ? AND id = ?",
                *(int(each.meta.resource_version), rows.is_open(each), rows.encode(each), kind, resource_id),
            )
        self._unsaved.clear()

    def _next(self) -> int:
        return int(self._rows("UPDATE counter SET last = last + 1 RETURNING last")[0][0])

    def _rows(self, statement: str, *values: object) -> list[Any]:
        """Run one statement; while another process holds the store, try again."""
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
    def _translated(self) -> Iterator[None]:
        """Foreign errors in this project's words; a taken name passes, its caller knows more."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                message = f"store: {self._path} is held by another process for over {BUSY_SECONDS} s; try again later"
                raise errors.StoreBusy(message) from error
            raise self._refused(f"cannot be used ({error})", "check path and disk") from error
        except (sqlite3.DatabaseError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self._refused(f"is no store ({reason})", "name another file") from error

    def _refused(self, fault: str, remedy: str) -> errors.InvalidInput:
        return errors.invalid("store", str(self._path), fault, remedy)


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
