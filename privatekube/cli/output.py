"""Blocks and claims for people and programs: tables, and PrivateKube's JSON and YAML as kubectl prints it."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import yaml
from rich.table import Table

from privatekube.cli import console, forecast_text
from privatekube.cli import tables as describing
from privatekube.forecast.forecast import Prospect
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.meta import format_time
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.wire import blocks as block_codec
from privatekube.resources.wire import claims as claim_codec
from privatekube.resources.wire import common
from privatekube.simulation.replay import Replay
from privatekube.simulation.scenario import Scenario

Resource = PrivateDataBlock | PrivacyBudgetClaim
R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)


class Format(enum.StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(resource: Resource, output: Format) -> None:
    """Print one object in full."""
    if output is Format.TABLE:
        tables = describing.block(resource) if isinstance(resource, PrivateDataBlock) else describing.claim(resource)
        _print(*tables)
        return
    write(to_wire(resource), output)


def show_all(resources: Sequence[R], output: Format, table: Callable[[Sequence[R]], Table]) -> None:
    """Print several objects: a table, or a List with items."""
    if output is Format.TABLE:
        _print(table(resources))
        return
    write({"apiVersion": "v1", "kind": "List", "items": [to_wire(each) for each in resources]}, output)


def show_replay(scenario: Scenario, replay: Replay, policy: Mapping[str, str], output: Format) -> None:
    """Print what a scenario's replay granted."""
    if output is Format.TABLE:
        _print(*describing.replay(scenario, replay, policy))
        return
    blocks = {
        str(block.id): {"used": common.budget_to_wire(used), "used_share": share, "unlocked_share": unlocked}
        for block, used, share, unlocked in zip(
            scenario.blocks, replay.used, replay.used_share, replay.unlocked_share, strict=True
        )
    }
    granted = {"granted_count": len(replay.granted), "granted": list(replay.granted)}
    times = {"grant_time": list(replay.grant_seconds), "wall_seconds": replay.wall_seconds}
    write({"scenario": scenario.name, **policy, **granted, **times, "blocks": blocks}, output)


def show_prospect(prospect: Prospect, request: AllocateRequest, output: Format) -> None:
    """Print what would happen to a request."""
    _show_document(forecast_text.to_json(prospect), forecast_text.lines(prospect, request), output)


def show_explanation(claim: PrivacyBudgetClaim, prospect: Prospect | None, output: Format) -> None:
    """Print what a claim waits for, or why it was refused."""
    document = {
        "claim": claim.id,
        "state": summary.state(claim),
        **({} if prospect is None else forecast_text.to_json(prospect)),
    }
    _show_document(document, forecast_text.explanation(claim, summary.state(claim), prospect), output)


def _show_document(document: dict[str, Any], lines: Iterable[str], output: Format) -> None:
    if output is Format.TABLE:
        for line in lines:
            console.console().print(line, soft_wrap=True, highlight=False, markup=False)
    else:
        write(document, output)


def show_ledger(entries: Sequence[Entry], output: Format) -> None:
    """Print entries of the ledger."""
    if output is not Format.TABLE:
        write({"entries": [{**each.to_json(), "digest": each.digest} for each in entries]}, output)
        return
    table = Table("#", "time", "block", "claim", "committed", "reason", "mechanisms", box=None)
    for each in entries:
        who = (format_time(each.time_ms), each.block, each.claim, summary.short(each.amount))
        table.add_row(str(each.sequence), *who, each.reason, "; ".join(each.mechanisms))
    _print(table)


def _print(*tables: Table) -> None:
    to = console.console()
    for table in tables:
        to.print(table)


def write(document: dict[str, Any], output: Format) -> None:
    """Print a document as JSON or YAML."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)


def to_wire(resource: Resource) -> dict[str, Any]:
    """An object in PrivateKube's JSON."""
    if isinstance(resource, PrivateDataBlock):
        return block_codec.to_wire(resource)
    return claim_codec.to_wire(resource)


def blocks_table(blocks: Sequence[PrivateDataBlock]) -> Table:
    """Dataset, data, what is left, how much is committed, how many wait."""
    table = Table("namespace", "name", "dataset", "left", "committed", "waiting", "age", box=None)
    for block in blocks:
        table.add_row(
            block.meta.namespace,
            block.meta.name,
            block.spec.dataset,
            summary.left(block),
            f"{summary.committed_share(block):.0%}",
            str(len(block.status.reserved)) if block.status else "0",
            _age(block),
        )
    return table


def claims_table(claims: Sequence[PrivacyBudgetClaim]) -> Table:
    """State, demand, blocks, reason."""
    table = Table("namespace", "name", "state", "demand", "blocks", "opened", "reason", "age", box=None)
    for claim in claims:
        responses = claim.status.responses
        held = {**claim.status.reserved, **claim.status.acquired, **claim.status.committed}
        table.add_row(
            claim.meta.namespace,
            claim.meta.name,
            summary.state(claim),
            summary.demand(claim),
            str(len(held)),
            "yes" if claim.spec.data_opened else "no",
            (responses[-1].error or "") if responses else "",
            _age(claim),
        )
    return table


def _age(resource: Resource) -> str:
    if resource.meta.creation_time_ms is None:
        return ""
    seconds = int(datetime.now(UTC).timestamp() - resource.meta.creation_time_ms / 1000)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"
