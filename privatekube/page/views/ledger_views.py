"""The ledger, searched and exported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from privatekube.page.snapshot import Snapshot
from privatekube.page.views import wording
from privatekube.privacy import event_text
from privatekube.resources import ledger
from privatekube.resources.ledger import AnyEntry, Entry


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry of the ledger; amount, time, reason and mechanisms are in words.

    `share` is that of its block's lifetime; None for a decision, which commits nothing.
    """

    sequence: int
    time: str
    dataset: str
    block: str
    claim: str
    user: str
    team: str
    purpose: str
    share: float | None
    amount: str
    reason: str
    mechanisms: str
    digest: str


def search(snapshot: Snapshot, text: str = "") -> list[AnyEntry]:
    """Return the entries of which a text is part of what they say in words, the newest first."""
    wanted = text.casefold()
    if not wanted:
        return list(reversed(snapshot.entries))
    return [entry for entry in reversed(snapshot.entries) if wanted in _searched(entry)]


def row(snapshot: Snapshot, entry: AnyEntry) -> EntryRow:
    """Return an entry as a row."""
    return EntryRow(
        sequence=entry.sequence,
        time=wording.moment(entry.time_ms),
        dataset=entry.dataset,
        block=ledger.block_of(entry) or "",
        claim=entry.claim,
        user=entry.requester.user or "",
        team=entry.requester.team or "",
        purpose=entry.requester.purpose or "",
        share=snapshot.shares.get(entry.sequence),
        amount=str(entry.amount) if isinstance(entry, Entry) else "",
        reason=_reason(entry),
        mechanisms="; ".join(_mechanisms(entry)),
        digest=entry.digest,
    )


def to_json(entries: Iterable[AnyEntry]) -> str:
    """Return the entries as `privatekube ledger -o json` prints them."""
    return json.dumps({"entries": [{**entry.to_json(), "digest": entry.digest} for entry in entries]}, indent=2) + "\n"


def _searched(entry: AnyEntry) -> str:
    who = (entry.requester.user or "", entry.requester.team or "", entry.requester.purpose or "")
    parts = (ledger.block_of(entry) or "", entry.claim, entry.dataset, *who, _reason(entry), *_mechanisms(entry))
    return "\n".join(parts).casefold()


def _reason(entry: AnyEntry) -> str:
    return entry.reason if isinstance(entry, Entry) else entry.words


def _mechanisms(entry: AnyEntry) -> tuple[str, ...]:
    return tuple(map(event_text.readable, entry.mechanisms)) if isinstance(entry, Entry) else ()
