"""The embedded store: one SQLite file, shared by processes, and safe against a crash at any moment."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import override

from privatekube import errors
from privatekube.resources import ledger, quota
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import Budgets
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry, Readable, UnreadableEntry
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire import approvals, quotas
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.backend import Backend
from privatekube.store.base import R, Resource
from privatekube.store.clock import Clock
from privatekube.store.kinds import Kind
from privatekube.store.sqlite import boot_clock, kept_rows, schema
from privatekube.store.sqlite.connection import Connection
from privatekube.store.sqlite.kept_list import KeptList
from privatekube.store.unreadable import Reports, Unreadable

_READ_AT_ONCE = 1000


class SqliteStore(Backend):
    """A store in one file.

    Each resource stays decoded in memory until its version in the file changes. What a transaction updates is written
    to the file when the transaction ends, so that a pass encodes and decodes each resource at most once.

    Args:
        path: the file; it and its folder are created if they are missing.
        clock: gives the time of creation of resources; None for the clock of the store, see `boot_clock`.

    Attributes:
        clock: of the store.

    Raises:
        InvalidInput: the file is not a store, is of a newer version, or cannot be written.
        StoreBusy: another process holds the file.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self.clock = boot_clock.of_store(self.ensure_secret) if clock is None else clock
        self._decoded: dict[tuple[str, str], Any] = {}
        self._unsaved: dict[tuple[str, str], Any] = {}
        self._identities: dict[str, DataIdentity] = {}
        self._reports = Reports()
        self._db = Connection(path)
        self._db.define(kept_rows.CHECKSUM, kept_rows.checksum)
        self._rows = self._db.rows
        self._kept = {kind.name: KeptList(self._db, kind.name, partial(self._read_all, kind)) for kind in kinds.KINDS}
        try:
            self._migrate()
        except BaseException:
            self._db.close()
            raise

    @override
    def create(self, resource: R) -> R:
        kind = kinds.kind_of(resource)
        meta = replace(resource.meta, uid=str(uuid.uuid4()), creation_time_ms=self.clock.now_ms(), generation=1)
        body = kind.encode(replace(resource, meta=meta))
        with self.transaction():
            version = self._next_version()
            created = kind.decode(body, version)  # raises before anything is written that cannot be read again
            key = kinds.name_of(created)
            row = (key.kind, key.id, created.meta.namespace, version, version, kinds.is_open(created))
            statement = "INSERT OR IGNORE INTO resources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING 1"
            if not self._rows(statement, *row, *kept_rows.with_row(kind, created, body)):
                raise errors.AlreadyExists(f"{key}: exists already; choose another name, or delete it first")
            self._decoded[key] = created
        return created

    @override
    def update(self, resource: R) -> R:
        with self.transaction():
            updated = self._updated(resource)
            kinds.require_readable(updated)
            return self._write(updated)

    @override
    def update_status(self, resource: R) -> R:
        with self.transaction():
            updated: R = replace(self._current(resource), status=resource.status)
            return self._write(updated)

    @override
    def delete(self, resource: Resource) -> None:
        with self.transaction():
            self._current(resource)
            key = kinds.name_of(resource)
            self._rows("DELETE FROM resources WHERE kind = ? AND id = ?", *key)
            self._decoded.pop(key, None)
            self._unsaved.pop(key, None)

    @override
    def retire(self, data: RetiredData) -> None:
        with self.transaction():
            self._rows("INSERT OR REPLACE INTO retired VALUES (?, ?, ?)", data.dataset, data.digest, data.to_json())

    @override
    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        rows = self._rows("SELECT body FROM retired WHERE dataset = ? AND digest = ?", dataset, digest)
        return RetiredData.from_json(dataset, digest, rows[0][0]) if rows else None

    @override
    def list_retired(self) -> list[RetiredData]:
        rows = self._rows("SELECT dataset, digest, body FROM retired ORDER BY dataset, digest")
        return [RetiredData.from_json(*row) for row in rows]

    @override
    def append(self, entry: AnyEntry) -> None:
        with self.transaction():
            if self._rows("SELECT 1 FROM ledger WHERE identity = ?", entry.identity):
                return
            rows = self._rows("SELECT sequence, digest FROM ledger ORDER BY sequence DESC LIMIT 1")
            last, previous = rows[0] if rows else (0, ledger.GENESIS)
            chained = ledger.chain_to(previous, entry, sequence=last + 1)
            block = ledger.block_of(chained) or ""
            row = (chained.sequence, chained.identity, block, chained.claim, json.dumps(chained.to_json()))
            self._rows("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", *row, chained.digest)

    @override
    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> list[AnyEntry]:
        filters = {name: value for name, value in (("block", block_id), ("claim", claim_id)) if value is not None}
        where = " AND ".join(["1", *(f"{name} = ?" for name in filters)])
        query = f"SELECT sequence, claim, body, digest FROM ledger WHERE {where} ORDER BY sequence"  # noqa: S608 - no value in it
        return Readable.of(_entry(*row) for row in self._rows(query, *filters.values())).complete()

    @override
    def readable_ledger(self) -> Readable:
        return self.later_entries(0)

    @override
    def later_entries(self, sequence: int) -> Readable:
        query = "SELECT sequence, claim, body, digest FROM ledger WHERE sequence > ? ORDER BY sequence"
        return Readable.of(_entry(*row) for row in self._rows(query, sequence))

    @override
    def change_mark(self) -> int | None:
        return int(self._rows("PRAGMA data_version")[0][0])

    @override
    def list_quotas(self) -> list[PrivacyBudgetQuota]:
        return [_quota(*row) for row in self._rows("SELECT id, body FROM quotas ORDER BY id")]

    @override
    def put_quota(self, quota: PrivacyBudgetQuota) -> None:
        with self.transaction():
            body = json.dumps(quotas.to_wire(quota))
            self._rows("INSERT OR REPLACE INTO quotas VALUES (?, ?)", quota.id, body)

    @override
    def delete_quota(self, quota_id: str) -> None:
        with self.transaction():
            if not self._rows("DELETE FROM quotas WHERE id = ? RETURNING 1", quota_id):
                raise self._no_quota(quota_id)

    @override
    def list_approvals(self) -> list[PrivacyBudgetApproval]:
        listed = [_approval(*row) for row in self._rows("SELECT id, body FROM approvals ORDER BY id")]
        return [approval for approval in listed if approval is not None]

    @override
    def add_approval(self, approval: PrivacyBudgetApproval) -> None:
        given_ms = approval.meta.creation_time_ms  # of a backup
        meta = replace(approval.meta, creation_time_ms=self.clock.now_ms() if given_ms is None else given_ms)
        body = json.dumps(approvals.to_wire(replace(approval, meta=meta)))
        with self.transaction():
            if not self._rows("INSERT OR IGNORE INTO approvals VALUES (?, ?) RETURNING 1", approval.id, body):
                raise self._decided_before(approval)

    @override
    def settings(self) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM settings"))

    @override
    def set_setting(self, name: str, value: str) -> None:
        with self.transaction():
            self._rows("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, value)

    @override
    def ensure_secret(self, name: str, value: bytes) -> bytes:
        with self.transaction():
            self._rows("INSERT OR IGNORE INTO secrets VALUES (?, ?)", name, value)
            return bytes(self._rows("SELECT value FROM secrets WHERE name = ?", name)[0][0])

    @override
    def keep_identity(self, identity: DataIdentity) -> None:
        with self.transaction():
            self._rows("INSERT OR IGNORE INTO identities VALUES (?, ?)", identity.id, identity.to_text())

    @override
    def identity(self, identity_id: str) -> DataIdentity | None:
        """Return the identity of that id, decoded once: it never changes."""
        if identity_id not in self._identities:
            rows = self._rows("SELECT body FROM identities WHERE id = ?", identity_id)
            if not rows:
                return None
            self._identities[identity_id] = DataIdentity.from_json(
                identity_id, _parsed(rows[0][0], f"identity {identity_id}")
            )
        return self._identities[identity_id]

    @override
    def transaction(self) -> contextlib.AbstractContextManager[None]:
        return self._db.transaction(before_commit=self._save, on_rollback=self._forget)

    def forbid_writes(self) -> None:
        """Only read from now on; SQLite itself refuses every change."""
        self._db.forbid_writes()

    @override
    def close(self) -> None:
        self._db.close()

    def _migrate(self) -> None:
        """Create the tables, or bring those of an earlier version up to date."""
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = self._rows("PRAGMA user_version")[0][0]
        if version > schema.SCHEMA_VERSION and (not tables or "resources" in tables):
            raise self._db.invalid("is of a newer version", "use a newer privatekube")
        if tables and "resources" not in tables:
            raise self._db.invalid("is another program's database", "name another file")
        self._db.make_private()  # one that an earlier version or a backup left open
        self._rows("PRAGMA journal_mode = WAL")
        self._rows("PRAGMA synchronous = FULL")
        with self.transaction():
            version = self._rows("PRAGMA user_version")[0][0]
            for statement in "".join(schema.SCHEMA[version:]).split(";\n"):
                self._rows(statement)
            self._rows(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
            if version == 1:
                self._open_ledger()
            if 0 < version < schema.ROWS_ARE_KEPT:
                self._keep_rows()

    def _open_ledger(self) -> None:
        """Enter in the new ledger of a store of version 1 what was committed before."""
        for stored in self.unreadable():
            raise stored.error  # what was committed there would be missing from the ledger
        blocks = self.list_blocks()
        for block in blocks:
            if block.status is not None:
                self._append_opening(block.spec.dataset, ledger.data_key(block), block.id, block.status.committed)
        known = {(block.spec.dataset, ledger.data_key(block)) for block in blocks}
        for data in self.list_retired():
            if (data.dataset, data.digest) not in known:
                self._append_opening(data.dataset, data.digest, data.block_id, data.committed)

    def _keep_rows(self) -> None:
        """Keep the rows of what an earlier version stored; what cannot be read has none."""
        for kind in kinds.KINDS:
            for (resource_id,) in self._selected("id", kind, None, open_only=False):
                query = "SELECT body, version FROM resources WHERE kind = ? AND id = ?"
                ((body, version),) = self._rows(query, kind.name, resource_id)
                statement = "UPDATE resources SET list_row = ?, checksum = ? WHERE kind = ? AND id = ?"
                self._rows(statement, *kept_rows.of_stored(kind, body, version), kind.name, resource_id)

    def _append_opening(self, dataset: str, data: str, block_id: str, committed: Budgets) -> None:
        for entry in ledger.opening_entries(dataset, data, block_id, committed, time_ms=self.clock.now_ms()):
            self.append(entry)

    @override
    def _list(self, kind: Kind[R], namespace: str | None, *, open_only: bool) -> list[R]:
        if not open_only:
            self._save()
            return self._reports.readable(self._kept[kind.name].current(namespace))
        rows = self._selected("id, version", kind, namespace, open_only=open_only)
        return self._reports.readable(item for item in self._read_all(kind, rows) if item is not None)

    def _read_all(self, kind: Kind[R], rows: Sequence[tuple[str, int]]) -> list[R | Unreadable | None]:
        self._decode_changed(kind, rows)
        return [self._read_or_fault(kind, *row) for row in rows]

    @override
    def _list_rows(self, kind: Kind[Any], namespace: str | None) -> list[Any]:
        """Return the rows that are kept and intact, and of the other resources; log why one cannot be read."""
        columns = f"id, version, {kept_rows.INTACT_ROW}"
        selected = self._selected(columns, kind, namespace, open_only=False)
        self._decode_changed(kind, [(resource_id, version) for resource_id, version, row in selected if row is None])
        items = [
            kept_rows.row_or_fault(kind, self._read_or_fault(kind, *key)) if row is None else kept_rows.read(kind, row)
            for *key, row in selected
        ]
        return self._reports.readable(item for item in items if item is not None)

    def _selected(self, columns: str, kind: Kind[Any], namespace: str | None, *, open_only: bool) -> list[Any]:
        """Return columns of the resources of a kind, in order of creation."""
        self._save()
        values = [kind.name] if namespace is None else [kind.name, namespace]
        is_open = open_only or kind is kinds.BLOCK  # every block is: only so the index has them in order
        where = "kind = ?" + " AND namespace = ?" * (namespace is not None) + " AND open = 1" * is_open
        query = f"SELECT {columns} FROM resources WHERE {where} ORDER BY position"  # noqa: S608 - no value in it
        return self._rows(query, *values)

    @override
    def _unreadable(self, kind: Kind[Any]) -> list[Unreadable]:
        self._save()
        return self._kept[kind.name].faults()

    @override
    def _get(self, kind: Kind[R], resource_id: str) -> R | None:
        key = (kind.name, resource_id)
        if key in self._unsaved:
            unsaved: R = self._unsaved[key]
            return unsaved
        rows = self._rows("SELECT version FROM resources WHERE kind = ? AND id = ?", *key)
        return self._read(kind, resource_id, rows[0][0]) if rows else None

    def _decode_changed(self, kind: Kind[Any], rows: Iterable[tuple[str, int]]) -> None:
        """Decode the resources that have changed, many at a time; what cannot be read is left to `_read_or_fault`."""
        changed = [row[0] for row in rows if self._is_unread(kind, *row)]
        query = "SELECT id, body, version FROM resources WHERE kind = ? AND id IN (SELECT value FROM json_each(?))"
        for first in range(0, len(changed), _READ_AT_ONCE):
            ids = json.dumps(changed[first : first + _READ_AT_ONCE])
            for resource_id, body, version in self._rows(query, kind.name, ids):
                with contextlib.suppress(errors.InvalidInput):
                    self._decoded[kind.name, resource_id] = kind.decode(body, version)

    def _is_unread(self, kind: Kind[Any], resource_id: str, version: int) -> bool:
        """Return whether a resource is not decoded as of `version`, nor to be written."""
        key = (kind.name, resource_id)
        decoded = self._decoded.get(key)
        return key not in self._unsaved and (decoded is None or decoded.meta.resource_version != str(version))

    def _read_or_fault(self, kind: Kind[R], resource_id: str, version: int) -> R | Unreadable | None:
        """Return the resource, or why it cannot be read; None where it was deleted meanwhile."""
        try:
            return self._read(kind, resource_id, version)
        except errors.InvalidInput as error:
            name = errors.ResourceName(kind.name, resource_id)
            rows = self._rows("SELECT body FROM resources WHERE kind = ? AND id = ?", *name)
            return Unreadable(name, str(rows[0][0]), error) if rows else None

    def _read(self, kind: Kind[R], resource_id: str, version: int) -> R | None:
        """Return the resource as of `version` or later; None where it was deleted meanwhile."""
        key = (kind.name, resource_id)
        decoded: R | None = self._decoded.get(key)
        if decoded is not None and decoded.meta.resource_version == str(version):
            return decoded
        rows = self._rows("SELECT body, version FROM resources WHERE kind = ? AND id = ?", *key)
        if not rows:
            return None
        self._decoded[key] = resource = kind.decode(*rows[0])
        return resource

    def _write(self, resource: R) -> R:
        written = kinds.at_version(resource, self._next_version())
        self._decoded[kinds.name_of(resource)] = self._unsaved[kinds.name_of(resource)] = written
        return written

    def _save(self) -> None:
        """Write to the file what the transaction has updated."""
        for (kind_name, resource_id), resource in self._unsaved.items():
            kind: Kind[Any] = kinds.kind_of(resource)
            body = kept_rows.stored_form(kind, resource)
            values = (int(resource.meta.resource_version), kinds.is_open(resource), *body)
            columns = "version = ?, open = ?, body = ?, list_row = ?, checksum = ?"
            self._rows(f"UPDATE resources SET {columns} WHERE kind = ? AND id = ?", *values, kind_name, resource_id)  # noqa: S608 - no value in it
        self._unsaved.clear()

    def _next_version(self) -> int:
        return int(self._rows("UPDATE counter SET last = last + 1 RETURNING last")[0][0])

    def _forget(self) -> None:
        """Forget what a transaction that was rolled back read and wrote."""
        self._decoded.clear()
        self._unsaved.clear()
        self._identities.clear()
        for kept in self._kept.values():
            kept.clear()


def _entry(number: int, claim: object, body: str, digest: str) -> AnyEntry | UnreadableEntry:
    """Return an entry of the ledger, or what can be told of it."""
    try:
        return ledger.from_json({"sequence": number, **_parsed(body, f"ledger: entry {number}")}, digest)
    except errors.CorruptData as error:
        return UnreadableEntry(claim if isinstance(claim, str) else None, error)


def _quota(quota_id: str, body: str) -> PrivacyBudgetQuota:
    """Return a quota; in place of one that is not JSON, one that allows nothing."""
    namespace, _, name = quota_id.partition("/")
    try:
        document = {**_parsed(body, f"quota {quota_id}"), "metadata": {"namespace": namespace, "name": name}}
    except errors.CorruptData as error:
        return quota.closed(ObjectMeta(name, namespace), f"cannot be read ({error})")
    return quotas.from_store(document)


def _approval(approval_id: str, body: str) -> PrivacyBudgetApproval | None:
    """Return an approval; None if it cannot be read, so that it approves nothing."""
    try:
        return approvals.from_store(_parsed(body, f"approval {approval_id}"))
    except errors.CorruptData:
        return None


def _parsed(text: str, what: str) -> Json:
    """Return a JSON object that is stored as text; CorruptData if it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.CorruptData(f"{what}: is not JSON ({error}); restore a backup") from error
    if not isinstance(document, dict):
        raise errors.CorruptData(f"{what}: is not a JSON object; restore a backup")
    return document
