"""The embedded store: one SQLite file, safe with several processes and against a crash at any moment."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from privatekube import errors
from privatekube.resources import block_codec, claim_codec
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim, ResponseState
from privatekube.store.base import R, Resource, RetiredData

SCHEMA_VERSION = 1
BUSY_SECONDS = 60
_BLOCK, _CLAIM = "block", "claim"
_SCHEMA = """
CREATE TABLE resources (
    kind TEXT NOT NULL, id TEXT NOT NULL, namespace TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL,
    open INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX by_position ON resources (kind, open, position);
CREATE TABLE retired (dataset TEXT, digest TEXT, body TEXT NOT NULL, PRIMARY KEY (dataset, digest)) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (last INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
"""


class SqliteStore:
    """A ResourceStore in one file; see `base.ResourceStore` for the methods.

    Args:
        path: the file; it and its folder are made where they are missing.
        clock: unix milliseconds.

    Raises:
        InvalidInput: the file is no store, of a newer version, or cannot be written.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._path, self._clock, self._depth = path, clock, 0
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """See the protocol."""
        return cast("PrivateDataBlock | None", self._get(_BLOCK, block_id))

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """See the protocol."""
        return cast("PrivacyBudgetClaim | None", self._get(_CLAIM, claim_id))

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol."""
        return self._listed(_BLOCK, namespace, open_only=False)

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol."""
        return self._listed(_CLAIM, namespace, open_only=open_only)

    def create(self, resource: R) -> R:
        """See the protocol."""
        identity = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self._clock(), generation=1)
        created = replace(resource, meta=identity)
        with self.transaction():
            position = self._next()
            try:
                self._rows(
                    "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *(_kind(created), created.id, identity.namespace, position, position),
                    *(_is_open(created), _body(created)),
                )
            except sqlite3.IntegrityError as error:
                raise errors.AlreadyExists(
                    f"{_kind(created)} {created.id}: exists already; choose another name, or delete it first"
                ) from error
        return _versioned(created, position)

    def update(self, resource: R) -> R:
        """See the protocol."""
        with self.transaction():
            current = self._current(resource)
            changed = current.spec != resource.spec
            generation = current.meta.generation + (1 if changed else 0)
            merged = replace(resource, meta=replace(resource.meta, generation=generation), status=current.status)
            return self._written(merged)

    def update_status(self, resource: R) -> R:
        """See the protocol."""
        with self.transaction():
            current = self._current(resource)
            return self._written(replace(current, status=resource.status))

    def delete(self, resource: Resource) -> None:
        """See the protocol."""
        with self.transaction():
            self._require_current(resource, resource.meta.resource_version)
            self._rows("DELETE FROM resources WHERE kind = ? AND id = ?", _kind(resource), resource.id)

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
        except BaseException:
            self._depth = 0
            self._rows("ROLLBACK")
            raise
        self._depth = 0
        self._rows("COMMIT")

    def close(self) -> None:
        """See the protocol."""
        self._db.close()

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise errors.invalid("store", str(self._path), "is of a newer version", "use a newer privatekube")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _listed(self, kind: str, namespace: str | None, *, open_only: bool) -> list[Any]:
        where, values = "kind = ?", [kind]
        if open_only:
            where += " AND open = 1"
        if namespace is not None:
            where, values = where + " AND namespace = ?", [*values, namespace]
        query = f"SELECT version, body FROM resources WHERE {where} ORDER BY position"  # noqa: S608 - no value in it
        return [_decode(kind, *row) for row in self._rows(query, *values)]

    def _get(self, kind: str, resource_id: str) -> Any:
        found = self._rows("SELECT version, body FROM resources WHERE kind = ? AND id = ?", kind, resource_id)
        return _decode(kind, *found[0]) if found else None

    def _current(self, resource: R) -> R:
        version, body = self._require_current(resource, resource.meta.resource_version)
        return cast("R", _decode(_kind(resource), version, body))

    def _require_current(self, resource: Resource, expected: str) -> Any:
        """The stored version and body, if nobody wrote since `expected` was read."""
        kind = _kind(resource)
        found = self._rows("SELECT version, body FROM resources WHERE kind = ? AND id = ?", kind, resource.id)
        if not found:
            raise errors.NotFound(f"{kind} {resource.id}: is gone; list what is there")
        if str(found[0][0]) != expected:
            raise errors.Conflict(f"{kind} {resource.id}: was changed meanwhile; read it again")
        return found[0]

    def _written(self, resource: R) -> R:
        version = self._next()
        self._rows(
            "UPDATE resources SET version = ?, open = ?, body = ? WHERE kind = ? AND id = ?",
            *(version, _is_open(resource), _body(resource), _kind(resource), resource.id),
        )
        return _versioned(resource, version)

    def _next(self) -> int:
        last: int = self._rows("UPDATE counter SET last = last + 1 RETURNING last")[0][0]
        return last

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._translated():
            return self._db.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Foreign errors in this project's words; a taken name passes, its caller knows more."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                message = f"store: {self._path} is held by another process for over {BUSY_SECONDS} s; try again later"
                raise errors.StoreBusy(message) from error
            raise errors.invalid(
                "store", str(self._path), f"cannot be used ({error})", "check path and disk"
            ) from error
        except (sqlite3.DatabaseError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise errors.invalid("store", str(self._path), f"is no store ({reason})", "name another file") from error


def _kind(resource: Resource) -> str:
    return _BLOCK if isinstance(resource, PrivateDataBlock) else _CLAIM


def _is_open(resource: Resource) -> bool:
    if isinstance(resource, PrivateDataBlock):
        return True
    answered = [response for response in resource.status.responses if response.state is not ResponseState.PENDING]
    return len(answered) < len(resource.spec.requests)


def _body(resource: Resource) -> str:
    encoded = block_codec.to_wire(resource) if isinstance(resource, PrivateDataBlock) else claim_codec.to_wire(resource)
    return json.dumps(encoded, separators=(",", ":"))


def _decode(kind: str, version: int, body: str) -> Any:
    from_wire = {_BLOCK: block_codec.from_wire, _CLAIM: claim_codec.from_wire}[kind]
    return _versioned(from_wire(json.loads(body)), version)  # type: ignore[type-var]  # by kind


def _versioned(resource: R, version: int) -> R:
    return replace(resource, meta=replace(resource.meta, resource_version=str(version)))
