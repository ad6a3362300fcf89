"""The ledger, searched and exported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from privatekube.page.snapshot import Snapshot
from privatekube.page.views import wording
from privatekube.privacy import event_text
from privatekube.resources.ledger import Entry

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""
COLUMNS = ("sequence", "time", "dataset", "block", "claim", "share", "amount", "reason", "mechanisms", "digest")


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry of the ledger; amount, time and mechanisms are in words, `share` is that of its block's lifetime."""

    sequence: int
    time: str
    dataset: str
    block: str
    claim: str
    share: float
    amount: str
    reason: str
    mechanisms: str
    digest: str


def search(snapshot: Snapshot, text: str = "") -> list[Entry]:
    """Return the entries whose block, claim, dataset, reason or mechanisms contain a text, the newest first."""
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
        share=snapshot.share(entry),
        amount=str(entry.amount),
        reason=entry.reason,
        mechanisms="; ".join(map(event_text.readable, entry.mechanisms)),
        digest=entry.digest,
    )


def to_csv(snapshot: Snapshot, entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of a CSV file; what a spreadsheet would take for a formula begins with an apostrophe."""
    yield _line(COLUMNS)
    for entry in entries:
        shown = row(snapshot, entry)
        yield _line([_plain(str(getattr(shown, column))) for column in COLUMNS])


def to_json(entries: Iterable[Entry]) -> str:
    """Return the entries as `privatekube ledger -o json` prints them."""
    return json.dumps({"entries": [{**entry.to_json(), "digest": entry.digest} for entry in entries]}, indent=2) + "\n"


def _searched(entry: Entry) -> str:
    parts = (entry.block, entry.claim, entry.dataset, entry.reason, *map(event_text.readable, entry.mechanisms))
    return "\n".join(parts).casefold()


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
