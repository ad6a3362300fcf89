"""The ledger and its totals as CSV, JSON and tables: who has committed what, and why."""

from __future__ import annotations

import csv
import enum
import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Column, Table

from privatekube.cli import console, output, tables
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources.ledger import Entry
from privatekube.resources.ledger_totals import Group, Total
from privatekube.resources.meta import format_time
from privatekube.resources.wire import common
from privatekube.resources.wire.common import Json

_FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet takes for a formula."""
_OF_ENTRY = ("sequence", "time", "dataset", "block", "claim", "requestedBy", "team", "purpose", "reason")


class Format(enum.StrEnum):
    """How to print the ledger."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def show_entries(entries: Sequence[Entry], output_format: Format) -> None:
    """Print entries of the ledger."""
    match output_format:
        case Format.TABLE:
            console.console().print(tables.ledger_entries(entries))
        case Format.CSV:
            _write_csv((*_OF_ENTRY, *_OF_BUDGET, "digest"), map(_entry_cells, entries))
        case _:
            documents = [{**entry.to_json(), "digest": entry.digest} for entry in entries]
            output.write({"entries": documents}, output.Format(output_format))


def show_totals(totals: Iterable[Total], group: Group, output_format: Format) -> None:
    """Print what each group has committed of each dataset."""
    names = (str(group), "dataset", "claims", "blocks", "block")
    match output_format:
        case Format.TABLE:
            table = Table(Column(str(group), overflow="fold"), *names[1:4], "most on one block", "which", box=None)
            for total in totals:
                table.add_row(*map(str, _facts(total)), str(total.budget), total.block)
            console.console().print(table)
        case Format.CSV:
            rows = ((*_facts(total), total.block, *_budget_cells(total.budget)) for total in totals)
            _write_csv((*names, *_OF_BUDGET), rows)
        case _:
            documents = [
                {**dict(zip(names, (*_facts(total), total.block), strict=True)), "budget": _wire(total)}
                for total in totals
            ]
            output.write({"by": str(group), "totals": documents}, output.Format(output_format))


def _facts(total: Total) -> tuple[str, str, int, int]:
    return total.key, total.dataset, total.claims, total.blocks


def _wire(total: Total) -> Json:
    return common.budget_to_wire(total.budget)


def _entry_cells(entry: Entry) -> Iterator[object]:
    who = entry.requester
    yield from (entry.sequence, format_time(entry.time_ms), entry.dataset, entry.block, entry.claim)
    yield from (who.user, who.team, who.purpose, entry.reason, *_budget_cells(entry.amount), entry.digest)


_OF_BUDGET = ("epsilon", "delta", "budget")


def _budget_cells(budget: PrivacyBudget) -> tuple[object, ...]:
    """Return epsilon and delta, which a Renyi curve has not, and the budget as JSON."""
    both = (budget.epsilon, budget.delta) if isinstance(budget, EpsilonDelta) else (None, None)
    return (*both, json.dumps(common.budget_to_wire(budget), separators=(",", ":")))


def _write_csv(names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows as CSV; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow("'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row)
