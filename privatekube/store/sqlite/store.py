"""The embedded store: one SQLite file, safe with several processes and against a crash at any moment."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from privatekube import errors
from privatekube.resources import ledger
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData
from privatekube.store import kinds
from privatekube.store.base import R, Resource, V
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.sqlite import schema
from privatekube.store.sqlite.connection import Connection


class SqliteStore:
    """A ResourceStore in one file; see `base.ResourceStore` for the methods.

    What was read stays decoded until its version changes, and what a transaction writes goes to the file at its end: a
    pass encodes and decodes each resource at most once.

    Args:
        path: the file; it and its folder are made where they are missing.
        clock: stamps what is created.

    Raises:
        InvalidInput: the file is no store, of a newer version, or cannot be written.
        StoreBusy: another process holds it.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], Any] = {}
        self._unsaved: dict[tuple[str, str], Any] = {}
        self._db = Connection(path)
        self._rows = self._db.rows
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """See the protocol."""
        return cast("PrivateDataBlock | None", self._get(kinds.BLOCK, block_id))

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """See the protocol."""
        return cast("PrivacyBudgetClaim | None", self._get(kinds.CLAIM, claim_id))

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """See the protocol."""
        return self._listed(kinds.BLOCK, namespace, open_only=False)

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """See the protocol."""
        return self._listed(kinds.CLAIM, namespace, open_only=open_only)

    def create(self, resource: R) -> R:
        """See the protocol."""
        kind = kinds.kind(resource)
        identity = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self._clock.now_ms(), generation=1)
        body = kinds.encode(replace(resource, meta=identity))
        with self.transaction():
            version = self._next()
            created: R = kinds.decode(kind, version, body)  # raises before anything is written that cannot be read
            row = (kind, created.id, created.meta.namespace, version, version, kinds.is_open(created), body)
            if not self._rows("INSERT OR IGNORE INTO resources VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING 1", *row):
                taken = f"{kind} {created.id}: exists already; choose another name, or delete it first"
                raise errors.AlreadyExists(taken)
            self._known[kind, created.id] = created
        return created

    def update(self, resource: R) -> R:
        """See the protocol."""
        with self.transaction():
            current = self._current(resource)
            generation = current.meta.generation + (current.spec != resource.spec)
            merged = replace(resource, meta=replace(resource.meta, generation=generation), status=current.status)
            kinds.decode(kinds.kind(merged), 0, kinds.encode(merged))  # raises if nobody could read it
            return self._written(merged)

    def update_status(self, resource: R) -> R:
        """See the protocol."""
        with self.transaction():
            return self._written(cast("R", replace(self._current(resource), status=resource.status)))

    def delete(self, resource: Resource) -> None:
        """See the protocol."""
        with self.transaction():
            self._current(resource)
            key = (kinds.kind(resource), resource.id)
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

    def list_retired(self) -> list[RetiredData]:
        """See the protocol."""
        found = self._rows("SELECT dataset, digest, body FROM retired ORDER BY dataset, digest")
        return [RetiredData.from_json(*row) for row in found]

    def append(self, entry: Entry) -> None:
        """See the protocol."""
        with self.transaction():
            if self._rows("SELECT 1 FROM ledger WHERE identity = ?", entry.identity):
                return
            found = self._rows("SELECT sequence, digest FROM ledger ORDER BY sequence DESC LIMIT 1")
            last, previous = found[0] if found else (0, ledger.GENESIS)
            placed = ledger.chained(entry, sequence=last + 1, previous=previous)
            key = (placed.sequence, placed.identity, placed.block, placed.claim)
            self._rows(
                "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", *key, json.dumps(placed.to_json()), placed.digest
            )

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> list[Entry]:
        """See the protocol."""
        wanted = {name: value for name, value in (("block", block_id), ("claim", claim_id)) if value is not None}
        where = " AND ".join(["1", *(f"{name} = ?" for name in wanted)])
        query = f"SELECT body, digest FROM ledger WHERE {where} ORDER BY sequence"  # noqa: S608 - no value in it
        found = self._rows(query, *wanted.values())
        return [Entry.from_json(json.loads(body), digest) for body, digest in found]

    def settings(self) -> dict[str, str]:
        """See the protocol."""
        return dict(self._rows("SELECT name, value FROM settings"))

    def set_setting(self, name: str, value: str) -> None:
        """See the protocol."""
        with self.transaction():
            self._rows("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, value)

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """See the protocol."""
        return self._db.transaction(at_end=self._save, undone=self._forget)

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """See the protocol."""
        return [call() for call in calls]

    def close(self) -> None:
        """See the protocol."""
        self._db.close()

    def _open(self) -> None:
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = self._rows("PRAGMA user_version")[0][0]
        if version > schema.SCHEMA_VERSION and (not tables or "resources" in tables):
            raise self._db.refused("is of a newer version", "use a newer privatekube")
        if tables and "resources" not in tables:
            raise self._db.refused("is another program's database", "name another file")
        self._rows("PRAGMA journal_mode = WAL")
        self._rows("PRAGMA synchronous = FULL")
        with self.transaction():
            before = self._rows("PRAGMA user_version")[0][0]
            for statement in "".join(schema.SCHEMA[before:]).split(";\n"):
                self._rows(statement)
            self._rows(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
            if before == 1:
                self._open_ledger()

    def _open_ledger(self) -> None:
        """Enter what was committed before there was a ledger."""
        for block in self.list_blocks():
            if block.status is not None:
                where = (block.spec.dataset, ledger.data_key(block), block.id)
                for entry in ledger.opening(*where, block.status.committed, time_ms=self._clock.now_ms()):
                    self.append(entry)
        known = {(block.spec.dataset, ledger.data_key(block)) for block in self.list_blocks()}
        for data in self.list_retired():
            if (data.dataset, data.digest) not in known:
                where = (data.dataset, data.digest, data.block_id)
                for entry in ledger.opening(*where, data.committed, time_ms=self._clock.now_ms()):
                    self.append(entry)

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
            self._known[kind, resource_id] = kinds.decode(kind, *found[0])
        return self._known[kind, resource_id] if found else None

    def _current(self, resource: Resource) -> Any:
        """What is stored, if nobody wrote since `resource` was read."""
        current = self._get(kinds.kind(resource), resource.id)
        if current is None:
            raise errors.NotFound(f"{kinds.kind(resource)} {resource.id}: is gone; list what is there")
        if current.meta.resource_version != resource.meta.resource_version:
            raise errors.Conflict(f"{kinds.kind(resource)} {resource.id}: was changed meanwhile; read it again")
        return current

    def _written(self, resource: R) -> R:
        key = (kinds.kind(resource), resource.id)
        self._known[key] = self._unsaved[key] = written = kinds.versioned(resource, self._next())
        return written

    def _save(self) -> None:
        """Write what the transaction has not written yet."""
        for (kind, resource_id), each in self._unsaved.items():
            self._rows(
                "UPDATE resources SET version = ?, open = ?, body = ? WHERE kind = ? AND id = ?",
                *(int(each.meta.resource_version), kinds.is_open(each), kinds.encode(each), kind, resource_id),
            )
        self._unsaved.clear()

    def _next(self) -> int:
        return int(self._rows("UPDATE counter SET last = last + 1 RETURNING last")[0][0])

    def _forget(self) -> None:
        """Forget what a transaction that failed held: it may never have been."""
        self._known.clear()
        self._unsaved.clear()
