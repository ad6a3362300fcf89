"""The ledger as CSV, for spreadsheets: no cell of it is a formula, whatever a claimant wrote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import ledger
from privatekube.resources.approval import Decision
from privatekube.resources.ledger import AnyEntry, Entry
from privatekube.resources.meta import format_time
from privatekube.resources.wire import common

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula."""
OF_BUDGET = ("epsilon", "delta", "budget")
_OF_ENTRY = ("sequence", "time", "dataset", "block", "claim", "requestedBy", "team", "purpose", "reason")
_OF_DECISION = ("approvedBy", "rejectedBy")


def of_entries(entries: Iterable[AnyEntry]) -> Iterator[str]:
    """Yield the lines of entries, after one with the names of the columns."""
    return lines((*_OF_ENTRY, *_OF_DECISION, *OF_BUDGET, "digest"), map(_entry_cells, entries))


def lines(names: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    r"""Yield rows as CSV; a text that a spreadsheet would take for a formula begins with an apostrophe.

    >>> list(lines(["name"], [["=1+1"]]))
    ['name\n', "'=1+1\n"]
    """
    yield _line(names)
    for row in rows:
        yield _line("'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row)


def budget_cells(budget: PrivacyBudget) -> tuple[object, ...]:
    """Return epsilon and delta, which a Renyi curve has not, and the budget as JSON."""
    both = (budget.epsilon, budget.delta) if isinstance(budget, EpsilonDelta) else (None, None)
    return (*both, json.dumps(common.budget_to_wire(budget), separators=(",", ":")))


def _entry_cells(entry: AnyEntry) -> Iterator[object]:
    who = entry.requester
    yield from (entry.sequence, format_time(entry.time_ms), entry.dataset, ledger.block_of(entry), entry.claim)
    yield from (who.user, who.team, who.purpose, entry.reason)
    if isinstance(entry, Entry):
        yield from ("; ".join(map(str, entry.approvals)), None, *budget_cells(entry.amount))
    else:
        is_approved = entry.decision is Decision.APPROVED
        yield from (str(entry.record), None) if is_approved else (None, str(entry.record))
        yield from [None] * len(OF_BUDGET)
    yield entry.digest


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
