"""The ledger and its totals as CSV, JSON and tables: who has committed what, and why."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable, Sequence

from rich.table import Column, Table

from privatekube.cli import console, output, tables
from privatekube.resources import ledger_csv
from privatekube.resources.ledger import AnyEntry
from privatekube.resources.ledger_totals import Group, Total
from privatekube.resources.wire import common
from privatekube.resources.wire.common import Json


class Format(enum.StrEnum):
    """How to print the ledger."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def show_entries(entries: Sequence[AnyEntry], output_format: Format) -> None:
    """Print entries of the ledger."""
    match output_format:
        case Format.TABLE:
            console.console().print(tables.ledger_entries(entries))
        case Format.CSV:
            sys.stdout.writelines(ledger_csv.of_entries(entries))
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
            rows = ((*_facts(total), total.block, *ledger_csv.budget_cells(total.budget)) for total in totals)
            sys.stdout.writelines(ledger_csv.lines((*names, *ledger_csv.OF_BUDGET), rows))
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
