"""The tables of the SQLite store, version by version."""

from __future__ import annotations

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
    """
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE identities (id TEXT PRIMARY KEY, body TEXT NOT NULL);
""",
    """
UPDATE resources SET open = 1
WHERE kind = 'claim' AND EXISTS (SELECT 1 FROM json_each(body, '$.status.acquiredBudgets'));
""",
    """
CREATE TABLE quotas (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
""",
    """
-- Claims on many blocks name them in groups, which earlier versions do not read.
""",
    """
CREATE TABLE approvals (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
""",
    """
-- A list reads the versions of all resources, and the bodies of those that have changed: the index has the versions.
DROP INDEX by_position;
CREATE INDEX by_position ON resources (kind, open, position, version, namespace);
""",
    """
-- The ledger has entries of decisions, which are of no block and which earlier versions do not read.
""",
    """
-- What a list shows of each resource, and a checksum of both; see `kept_rows`.
ALTER TABLE resources ADD COLUMN list_row TEXT;
ALTER TABLE resources ADD COLUMN checksum BLOB;
""",
)
"""What each version adds to the one before."""


ROWS_ARE_KEPT = 10
"""The version from which on rows of lists are kept; change it, and add a version, when what a row says changes."""
SCHEMA_VERSION = len(SCHEMA)
