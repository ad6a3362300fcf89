"""Lists of blocks and of claims: as tables that fit the terminal, as names, CSV, JSON or YAML; once or live.

A list is read as rows, which a store may keep; JSON and YAML have the objects themselves.
"""

from __future__ import annotations

import enum
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.console import Console
from rich.table import Column, Table

from privatekube import errors
from privatekube.cli import console, list_columns, output
from privatekube.cli.list_columns import NAME, Columns, T, Texts
from privatekube.resources import ledger_csv
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.list_rows import BlockRow, ClaimRow

if TYPE_CHECKING:  # it imports the accounting, which `privatekube --help` does without
    from privatekube.client.client import BudgetClient

R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)
V = TypeVar("V")
_WATCH_SECONDS = 2.0


class Format(enum.StrEnum):
    """How to print a list."""

    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    CSV = "csv"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Listed(Generic[R, T]):
    """What is listed.

    Args:
        rows: returns the rows of a namespace, or all, in order of creation.
        resources: returns the objects of a namespace, or all, in order of creation.
        get: returns the object of an id.
        row_of: returns the row of an object.
        columns: of the rows.
    """

    rows: Callable[[str | None], Sequence[T]]
    resources: Callable[[str | None], Sequence[R]]
    get: Callable[[str], R]
    row_of: Callable[[R], T]
    columns: Columns[T]


def blocks(client: BudgetClient) -> Listed[PrivateDataBlock, BlockRow]:
    """Return what is listed of blocks."""
    rows = client.store.list_block_rows
    return Listed(rows, client.list_blocks, client.get_block, BlockRow.of, list_columns.OF_BLOCKS)


def claims(client: BudgetClient) -> Listed[PrivacyBudgetClaim, ClaimRow]:
    """Return what is listed of claims."""
    rows = client.store.list_claim_rows
    return Listed(rows, client.list_claims, client.get_claim, ClaimRow.of, list_columns.OF_CLAIMS)


def show_list(
    listed: Listed[R, T],
    output_format: Format,
    *,
    namespace: str | None = None,
    sort_by: str | None = None,
    none: errors.NotFound | None = None,
) -> None:
    """Print the list of a namespace, or of all.

    Args:
        listed: blocks or claims.
        output_format: how to print.
        namespace: of what is listed; None for all.
        sort_by: the column to sort by; None for the order of creation.
        none: raised where nothing is listed; None to print an empty list.

    Raises:
        InvalidInput: there is no such column.
        NotFound: `none`.
    """
    if output_format not in (Format.JSON, Format.YAML):
        rows = _require_any(listed.rows(namespace), none)
        show(rows, listed.columns, output_format, sort_by=sort_by)
        return
    resources = _require_any(listed.resources(namespace), none)
    if sort_by is not None:
        key = list_columns.key(sort_by, listed.columns)
        resources = sorted(resources, key=lambda resource: key(listed.row_of(resource)))
    items = [output.to_wire(resource) for resource in resources]
    output.write({"apiVersion": "v1", "kind": "List", "items": items}, output.Format(output_format))


def show(rows: Sequence[T], columns: Columns[T], output_format: Format, *, sort_by: str | None = None) -> None:
    """Print rows; `output_format` is not JSON or YAML, and the rest is as for `show_list`."""
    if sort_by is not None:
        rows = sorted(rows, key=list_columns.key(sort_by, columns))
    if output_format is Format.NAME:
        sys.stdout.writelines(f"{row.id}\n" for row in rows)
        return
    texts = list_columns.texts(rows, columns, wide=output_format is not Format.TABLE)
    if output_format is Format.CSV:
        sys.stdout.writelines(ledger_csv.lines(texts if rows else (), zip(*texts.values(), strict=True)))
        return
    terminal = console.console()
    print_table(list_columns.fitting(texts, terminal.width) if output_format is Format.TABLE else texts, terminal)


def watch(read: Callable[[], Sequence[T]], columns: Columns[T], *, pause: Callable[[], None] | None = None) -> None:
    """Print a list, then each row that is new or has changed, until this is interrupted.

    Args:
        read: returns the rows as they are now.
        columns: of the rows.
        pause: waits between two readings; None for two seconds.
    """
    shown: dict[str, T] = {}
    while True:
        rows = read()
        changed = [row for row in rows if shown.get(row.id) != row]
        if changed:
            show(changed, columns, Format.TABLE)
        shown = {row.id: row for row in rows}
        (pause or _wait)()


def print_table(texts: Texts, terminal: Console) -> None:
    """Print a table of columns: where nothing has to be wrapped, line by line, as there may be 100,000 rows."""
    widths = {name: list_columns.width_of(name, column) for name, column in texts.items()}
    if sum(widths.values()) > terminal.width:
        terminal.print(table(texts))
        return
    padded = [[_padded(text, widths[name]) for text in (name, *column)] for name, column in texts.items()]
    header, *lines = ("".join((*cells, "\n")) for cells in zip(*padded, strict=True))
    terminal.print(header, style="bold", end="")
    sys.stdout.writelines(lines)


def table(texts: Texts) -> Table:
    """Return a table of columns, in which long text is wrapped and never cut."""
    name_width = max(map(list_columns.cells, texts[NAME]), default=0)
    shown = Table(
        *(Column(name, overflow="fold", min_width=name_width if name == NAME else None) for name in texts), box=None
    )
    for row in zip(*texts.values(), strict=True):
        shown.add_row(*row)
    return shown


def _require_any(items: Sequence[V], none: errors.NotFound | None) -> Sequence[V]:
    """Return items; raise `none` where there are none."""
    if none is not None and not items:
        raise none
    return items


def _padded(text: str, width: int) -> str:
    return f" {text}{' ' * (width - list_columns.cells(text) - 1)}"


def _wait() -> None:
    time.sleep(_WATCH_SECONDS)
