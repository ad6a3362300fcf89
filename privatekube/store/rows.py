"""Resources as rows of tables: the tables, and a row's kind, JSON, and whether a pass has to look at it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from privatekube.resources import block_codec, claim_codec, standing
from privatekube.resources.block import PrivateDataBlock
from privatekube.store.base import R, Resource

SCHEMA = (
    """
CREATE TABLE resources (
    kind TEXT NOT NULL, id TEXT NOT NULL, namespace TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL,
    open INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX by_position ON resources (kind, open, position);
CREATE TABLE retired (dataset TEXT, digest TEXT, body TEXT NOT NULL, PRIMARY KEY (dataset, digest)) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (last INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
""",
    """
CREATE TABLE ledger (
    sequence INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, block TEXT NOT NULL, claim TEXT NOT NULL,
    body TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE INDEX ledger_by_block ON ledger (block, sequence);
CREATE INDEX ledger_by_claim ON ledger (claim, sequence);
CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger BEGIN SELECT raise(ABORT, 'append-only'); END;
CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE ON ledger BEGIN SELECT raise(ABORT, 'append-only'); END;
""",
)
"""What each version adds to the one before."""
SCHEMA_VERSION = len(SCHEMA)
BLOCK, CLAIM = "block", "claim"


def kind(resource: Resource) -> str:
    """The kind of a resource."""
    return BLOCK if isinstance(resource, PrivateDataBlock) else CLAIM


def is_open(resource: Resource) -> bool:
    """Whether a claim has an unanswered request, or holds budget and a time to settle; blocks always count."""
    return isinstance(resource, PrivateDataBlock) or standing.waits(resource) or standing.may_be_settled(resource)


def encode(resource: Resource) -> str:
    """A resource as JSON, in its wire form."""
    wire = block_codec.to_wire(resource) if isinstance(resource, PrivateDataBlock) else claim_codec.to_wire(resource)
    return json.dumps(wire, separators=(",", ":"))


def decode(kind_: str, version: int | str, body: str) -> Any:
    """The resource of that kind from its JSON.

    Raises:
        InvalidInput: it cannot be one, with the path of what does not fit.
    """
    return read(kind_, version, json.loads(body))


def read(kind_: str, version: int | str, document: object) -> Any:
    """The same from its parsed JSON."""
    from_wire = {BLOCK: block_codec.from_wire, CLAIM: claim_codec.from_store}[kind_]
    return versioned(from_wire(document), version)  # type: ignore[type-var]  # by kind


def versioned(resource: R, version: int | str) -> R:
    """The resource as of that write."""
    return replace(resource, meta=replace(resource.meta, resource_version=str(version)))
