"""The ledger on an API server: one object per entry, named by its place, each chained to the one before.

To append an entry, only identity and digest of the others are read, so that a fault in another field stops nothing.
"""

from __future__ import annotations

from privatekube import errors
from privatekube.resources import ledger
from privatekube.resources.ledger import AnyEntry, Readable, UnreadableEntry
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.custom_objects import Cluster

ENTRIES = "privacyledgerentries"


class LedgerChain:
    """Appends entries, and reads them.

    Args:
        cluster: access to the objects.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._n_entries, self._last_digest = 0, ledger.GENESIS
        self._entered: set[str] = set()

    def append(self, entry: AnyEntry) -> None:
        """Add an entry under the name of its place: of two processes that append at once, one has to repeat it.

        Raises:
            CorruptData: what an entry is chained to, or whether this one is entered already, cannot be read.
        """
        if not self._n_entries:
            self._read_new()
        while entry.identity not in self._entered:
            chained = ledger.chain_to(self._last_digest, entry, sequence=self._n_entries + 1)
            spec = {**chained.to_json(), "digest": chained.digest}
            document = documents.custom_object("PrivacyLedgerEntry", _name(chained.sequence), spec)
            try:
                self._cluster.create(ENTRIES, document)
            except errors.AlreadyExists:
                self._read_new()
            else:
                self._remember(document)

    def read(self) -> Readable:
        """Read all entries from the server each time, so that a tampered one shows."""
        return Readable.of(_entry(document) for document in self._listed())

    def _read_new(self) -> None:
        """Read all entries the first time, and later those that other processes appended meanwhile."""
        if not self._n_entries:
            for document in self._listed():
                self._remember(document)
        while (next_document := self._cluster.get(ENTRIES, _name(self._n_entries + 1))) is not None:
            self._remember(next_document)

    def _listed(self) -> list[Json]:
        return sorted(self._cluster.list_objects(ENTRIES), key=lambda document: str(document["metadata"]["name"]))

    def _remember(self, document: Json) -> None:
        identity, digest = _text(document, "identity"), _text(document, "digest")
        if identity is None or digest is None:
            raise errors.CorruptData(f"ledger: {document['metadata']['name']} cannot be read; restore a backup")
        self._n_entries, self._last_digest = self._n_entries + 1, digest
        self._entered.add(identity)


def _name(sequence: int) -> str:
    """Return the name of the entry with that sequence number."""
    return f"entry-{sequence:012d}"


def _entry(document: Json) -> AnyEntry | UnreadableEntry:
    """Return the entry in an object, or what can be told of it."""
    try:
        with documents.spec_of(document) as spec:
            return ledger.from_json({key: value for key, value in spec.items() if key != "digest"}, spec["digest"])
    except errors.CorruptData as error:
        return UnreadableEntry(_text(document, "claim"), error)


def _text(document: Json, field: str) -> str | None:
    """Return a text of an object's spec, whatever else is wrong with it; None if it is no text."""
    spec = document.get("spec")
    value = spec.get(field) if isinstance(spec, dict) else None
    return value if isinstance(value, str) else None
