"""The command `privatekube forecast`: when datasets or blocks run out, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from privatekube import errors, plain_text
from privatekube.cli import output
from privatekube.client import connect
from privatekube.resources import ledger, remaining
from privatekube.resources.meta import format_time

if TYPE_CHECKING:
    from privatekube.forecast.depletion import Depletion
    from privatekube.forecast.run_out import History
    from privatekube.resources.block import PrivateDataBlock
    from privatekube.resources.ledger import AnyEntry, Entry

_LONGEST_DAYS = 3650


def forecast(
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Its blocks, each with its day; without it, each dataset.")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only in this namespace.")] = None,
    days: Annotated[
        int, typer.Option(min=1, max=_LONGEST_DAYS, help="Over how many of the last days the rate is taken.")
    ] = 30,
    output_format: Annotated[
        output.Format, typer.Option("--output", "-o", help="Output format.")
    ] = output.Format.TABLE,
) -> None:
    """Show the day on which each dataset, or each block of one, runs out at the rate of the last days.

    The interval contains the true day in 95 of 100 cases if spending goes on as it was. Where nothing was spent, there
    is only a day before which it does not run out. `privatekube explain` says when a claim would be granted.
    """
    from privatekube.forecast import run_out  # noqa: PLC0415 - see the docstring of cli.app

    with connect.connect() as client:
        blocks, entries, now_ms = client.list_blocks(namespace), client.ledger(), client.clock.now_ms()
    groups = _by_dataset([block for block in blocks if dataset in (None, block.spec.dataset)])
    if dataset is not None and not groups:
        raise errors.NotFound(f"dataset {dataset}: has no blocks; see privatekube forecast")
    rows = []
    for (group, name), members in groups.items():
        histories = _histories(members, entries, now_ms=now_ms)
        if dataset is None:
            found = run_out.of_dataset(histories, now_ms=now_ms, days=days)
            left = sum(item.left for item in histories) / len(histories)
            rows.append(_row("dataset", group, name, left, found) | {"blocks": len(members)})
        else:
            dated = [(item, run_out.of_block(item, now_ms=now_ms, days=days)) for item in histories]
            rows += [_row("block", group, item.block.partition("/")[2], item.left, found) for item, found in dated]
    rows.sort(key=lambda row: ("at" not in row, row.get("at") or row.get("earliest") or "", row["name"]))
    _show(rows, days, output_format)


def _by_dataset(blocks: Sequence[PrivateDataBlock]) -> dict[tuple[str, str], list[PrivateDataBlock]]:
    groups: dict[tuple[str, str], list[PrivateDataBlock]] = {}
    for block in blocks:
        groups.setdefault((block.meta.namespace, block.spec.dataset), []).append(block)
    return groups


def _histories(blocks: Sequence[PrivateDataBlock], entries: Iterable[AnyEntry], *, now_ms: int) -> list[History]:
    from privatekube.forecast import run_out  # noqa: PLC0415 - see the docstring of cli.app

    by_block: dict[str, list[Entry]] = {}
    for entry in ledger.amounts(entries):
        by_block.setdefault(entry.block, []).append(entry)
    return [
        run_out.history(
            block.id,
            remaining.of_block(block).share,
            by_block.get(block.id, ()),
            whole=block.spec.initial_budget,
            created_ms=block.meta.creation_time_ms or now_ms,
        )
        for block in blocks
    ]


def _row(kind: str, namespace: str, name: str, left: float, found: Depletion) -> dict[str, Any]:
    """Return a forecast by field; times are left out where there is none."""
    times = {"at": found.at_ms, "earliest": found.earliest_ms, "latest": found.latest_ms}
    stated = {key: format_time(time_ms) for key, time_ms in times.items() if time_ms is not None}
    fields = {"kind": kind, "namespace": namespace, "name": name, "left": left, "spentPerDay": found.per_day}
    return {**fields, **stated, "words": str(found)}


def _show(rows: Sequence[dict[str, Any]], days: int, output_format: output.Format) -> None:
    if output_format is not output.Format.TABLE:
        output.write({"days": days, "confidence": 0.95, "forecasts": list(rows)}, output_format)
        return
    table = Table("namespace", "name", "left", "spent a day", "runs out", box=None)
    for row in rows:
        left, rate = f"{row['left']:.1%}", f"{row['spentPerDay']:.2%}"
        table.add_row(plain_text.escaped(row["namespace"]), plain_text.escaped(row["name"]), left, rate, row["words"])
    output.show_table(table)
