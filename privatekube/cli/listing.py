"""Lists of blocks and of claims: as tables that fit the terminal, as names, CSV, JSON or YAML; once or live."""

from __future__ import annotations

import enum
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table

from privatekube import errors, plain_text
from privatekube.cli import console, output
from privatekube.resources import ledger_csv, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta, format_time

R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)
_WATCH_SECONDS = 2.0
_NAMESPACE, _NAME = "namespace", "name"
_DROPPED_FIRST = ("age", "opened", "dataset", "blocks", "waiting", "committed", _NAMESPACE)
"""The columns that a narrow terminal does without, in this order; names are never cut."""
_ONLY_WIDE = ("created", "alarm", "data", "user", "team", "purpose", "deadline")


class Format(enum.StrEnum):
    """How to print a list."""

    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    CSV = "csv"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, and what it is sorted by."""

    text: str
    key: float | str


Row = dict[str, Cell]


def show(resources: Sequence[R], row: Callable[[R], Row], output_format: Format, *, sort_by: str | None = None) -> None:
    """Print a list.

    Args:
        resources: in order of creation.
        row: returns the cells of one of them, by column.
        output_format: how to print.
        sort_by: the column to sort by; None for the order of creation.

    Raises:
        InvalidInput: there is no such column.
    """
    pairs = sorted_by(sort_by, [(resource, row(resource)) for resource in resources])
    if output_format in (Format.JSON, Format.YAML):
        items = [output.to_wire(resource) for resource, _ in pairs]
        output.write({"apiVersion": "v1", "kind": "List", "items": items}, output.Format(output_format))
    elif output_format is Format.NAME:
        sys.stdout.writelines(f"{resource.id}\n" for resource, _ in pairs)
    elif output_format is Format.CSV:
        texts = ([cell.text for cell in cells.values()] for _, cells in pairs)
        sys.stdout.writelines(ledger_csv.lines(pairs[0][1] if pairs else (), texts))
    else:
        rows = [cells for _, cells in pairs]
        terminal = console.console()
        columns = columns_for(rows, None if output_format is Format.WIDE else terminal.width)
        print_table(rows, columns, terminal)


def watch(read: Callable[[], Sequence[R]], row: Callable[[R], Row], *, pause: Callable[[], None] | None = None) -> None:
    """Print a list, then each row that is new or has changed, until this is interrupted.

    Args:
        read: returns the list as it is now.
        row: as for `show`.
        pause: waits between two readings; None for two seconds.
    """
    shown: dict[str, str] = {}
    while True:
        resources = [resource for resource in read() if shown.get(resource.id) != resource.meta.resource_version]
        if resources:
            show(resources, row, Format.TABLE)
        shown |= {resource.id: resource.meta.resource_version for resource in resources}
        (pause or _wait)()


def block_row(block: PrivateDataBlock) -> Row:
    """Return the cells of a block: its dataset, what is left, how much is committed, how many claims wait."""
    share, waiting = summary.committed_share(block), len(block.status.reserved) if block.status else 0
    return _named(block.meta) | {
        "dataset": _text(block.spec.dataset),
        "left": Cell(summary.left(block), max(summary.left_amount(block).values)),
        "committed": Cell(f"{share:.0%}", share),
        "waiting": Cell(str(waiting), waiting),
        "alarm": _text(summary.alarm(block)),
        "data": _text(block.spec.data_source),
        **_ages(block.meta),
    }


def claim_row(claim: PrivacyBudgetClaim) -> Row:
    """Return the cells of a claim: its state, demand, blocks, why it waits or was refused, and whose it is."""
    responses, who = claim.status.responses, claim.requester
    held = len({**claim.status.reserved, **claim.status.acquired, **claim.status.committed})
    return _named(claim.meta) | {
        "state": _text(summary.state(claim)),
        "demand": _text(summary.demand(claim)),
        "blocks": Cell(str(held), held),
        "opened": _text("yes" if claim.spec.data_opened else "no"),
        "reason": _text(str(responses[-1].refusal or "") if responses else ""),
        "user": _text(who.user or ""),
        "team": _text(who.team or ""),
        "purpose": _text(who.purpose or ""),
        "deadline": _text("" if claim.spec.deadline_ms is None else format_time(claim.spec.deadline_ms)),
        **_ages(claim.meta),
    }


def columns_for(rows: Sequence[Row], width: int | None) -> list[str]:
    """Return the columns that are shown; in a terminal of that width as many as fit, None for all.

    A namespace that all rows share is left out before a name would have to be wrapped.
    """
    names = list(rows[0]) if rows else [_NAMESPACE, _NAME]
    if width is None:
        return names
    names = [name for name in names if name not in _ONLY_WIDE]
    several = len({row[_NAMESPACE].text for row in rows}) > 1
    for dropped in _DROPPED_FIRST:
        if sum(_width_of(name, rows) for name in names) <= width:
            break
        if dropped in names and not (several and dropped == _NAMESPACE):
            names.remove(dropped)
    return names


def print_table(rows: Sequence[Row], columns: Sequence[str], terminal: Console) -> None:
    """Print a table of these columns: where nothing has to be wrapped, line by line, as there may be 100,000 rows."""
    widths = {name: _width_of(name, rows) for name in columns}
    if sum(widths.values()) > terminal.width:
        terminal.print(table(rows, columns))
        return
    terminal.print(_line(columns, widths), style="bold", end="")
    sys.stdout.writelines(_line([row[name].text for name in columns], widths) for row in rows)


def _line(texts: Sequence[str], widths: Mapping[str, int]) -> str:
    padded = (
        f" {text}{' ' * (width - cell_len(text) - 1)}" for text, width in zip(texts, widths.values(), strict=True)
    )
    return "".join((*padded, "\n"))


def table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Return a table of these columns, in which long text is wrapped and never cut."""
    name_width = max([cell_len(row[_NAME].text) for row in rows], default=0)
    shown = Table(
        *(Column(name, overflow="fold", min_width=name_width if name == _NAME else None) for name in columns), box=None
    )
    for row in rows:
        shown.add_row(*(row[name].text for name in columns))
    return shown


def sorted_by(column: str | None, pairs: Sequence[tuple[R, Row]]) -> list[tuple[R, Row]]:
    """Return resources with their rows in the order of a column; None leaves them.

    Raises:
        InvalidInput: there is no such column.
    """
    if column is None or not pairs:
        return list(pairs)
    names = pairs[0][1]
    if column not in names:
        raise errors.invalid("--sort-by", column, "is not a column", f"use one of {', '.join(names)}")
    return sorted(pairs, key=lambda pair: pair[1][column].key)


def _named(meta: ObjectMeta) -> Row:
    return {_NAMESPACE: _text(meta.namespace), _NAME: _text(meta.name)}


def _ages(meta: ObjectMeta) -> Row:
    created_ms = meta.creation_time_ms
    if created_ms is None:
        return {"created": Cell("", 0.0), "age": Cell("", 0.0)}
    seconds = max(0.0, datetime.now(UTC).timestamp() - created_ms / 1000)  # clocks may differ
    return {"created": Cell(format_time(created_ms), created_ms), "age": Cell(_age(int(seconds)), seconds)}


def _age(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _text(text: str) -> Cell:
    plain = plain_text.escaped(text)
    return Cell(plain, plain)


def _width_of(name: str, rows: Sequence[Row]) -> int:
    return 2 + max(cell_len(text) for text in (name, *(row[name].text for row in rows)))


def _wait() -> None:
    time.sleep(_WATCH_SECONDS)
