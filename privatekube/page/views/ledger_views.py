"""The ledger, searched and exported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from privatekube.page.snapshot import Snapshot
from privatekube.page.views import wording
from privatekube.privacy import event_text
from privatekube.resources.ledger import Entry


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry of the ledger; amount, time and mechanisms are in words, `share` is that of its block's lifetime."""

    sequence: int
    time: str
    dataset: str
    block: str
    claim: str
    user: str
    team: str
    purpose: str
    share: float
    amount: str
    reason: str
    mechanisms: str
    digest: str


def search(snapshot: Snapshot, text: str = "") -> list[Entry]:
    """Return the entries of which a text is part of what they say in words, the newest first."""
    wanted = text.casefold()
    if not wanted:
        return list(reversed(snapshot.entries))
    return [entry for entry in reversed(snapshot.entries) if wanted in _searched(entry)]


def row(snapshot: Snapshot, entry: Entry) -> EntryRow:
    """Return an entry as a row."""
    return EntryRow(
        sequence=entry.sequence,
        time=wording.moment(entry.time_ms),
        dataset=entry.dataset,
        block=entry.block,
        claim=entry.claim,
        user=entry.requester.user or "",
        team=entry.requester.team or "",
        purpose=entry.requester.purpose or "",
        share=snapshot.shares[entry.sequence],
        amount=str(entry.amount),
        reason=entry.reason,
        mechanisms="; ".join(map(event_text.readable, entry.mechanisms)),
        digest=entry.digest,
    )


def to_json(entries: Iterable[Entry]) -> str:
    """Return the entries as `privatekube ledger -o json` prints them."""
    return json.dumps({"entries": [{**entry.to_json(), "digest": entry.digest} for entry in entries]}, indent=2) + "\n"


def _searched(entry: Entry) -> str:
    who = (entry.requester.user or "", entry.requester.team or "", entry.requester.purpose or "")
    parts = (entry.block, entry.claim, entry.dataset, *who, entry.reason, *map(event_text.readable, entry.mechanisms))
    return "\n".join(parts).casefold()
