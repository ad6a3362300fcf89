"""Tables for people: lists of blocks and of claims, and one block, claim, ledger or replay in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table

from privatekube.privacy import budget_text, event_text
from privatekube.privacy.budget import PrivacyBudget, RenyiCurve
from privatekube.resources import details, ledger, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import AnyEntry, Entry
from privatekube.resources.meta import format_time

if TYPE_CHECKING:  # these import numpy, which `privatekube --help` does without
    from privatekube.kubeflow.cluster_run import ClusterRun
    from privatekube.kubeflow.kept_runs import KeptRun
    from privatekube.simulation.replay import Replay
    from privatekube.simulation.scenario import Scenario


def run_fields(run: KeptRun) -> dict[str, str]:
    """Return what is said about a run that is not published, by column."""
    record, ended = run.folder.record, run.folder.ended_steps
    after = [step for step in record.steps if step not in ended]
    return {
        "run": record.run_id,
        "state": str(run.state),
        "next": after[0] if after else "",
        "claim": record.claim,
        "folder": str(run.folder.path),
    }


def cluster_run_fields(run: ClusterRun) -> dict[str, str]:
    """Return what is said about a run of the cluster, by column."""
    return {
        "run": run.run_id,
        "state": f"{run.state.lower()} in the cluster: {run.name}",
        "next": "",
        "claim": run.claim,
        "folder": run.url,
    }


def run_list(rows: Sequence[Mapping[str, str]]) -> Table:
    """Return a row for each run: what can become of it, the next step, its claim, and its folder or page."""
    table = Table("run", "state", "next step", "claim", "folder", box=None)
    for row in rows:
        table.add_row(*row.values())
    return table


def ledger_entries(entries: Sequence[AnyEntry]) -> Table:
    """Return a row for each entry of the ledger, with the mechanisms in words: their JSON is in the entry's JSON."""
    table = Table(
        *("#", "time", _name_column("block"), _name_column("claim")),
        *(_name_column("requested by"), _name_column("team"), "committed", "reason", "mechanisms"),
        box=None,
    )
    for entry in entries:
        table.add_row(
            str(entry.sequence),
            format_time(entry.time_ms),
            ledger.block_of(entry) or "",
            entry.claim,
            entry.requester.user or "",
            entry.requester.team or "",
            *_what(entry),
        )
    return table


def _what(entry: AnyEntry) -> tuple[str, str, str]:
    """Return the amount, the reason and the mechanisms of an entry; a decision has a reason alone."""
    if not isinstance(entry, Entry):
        return "", entry.words, ""
    reason = "; approved by ".join((entry.reason, *map(str, entry.approvals)))
    return str(entry.amount), reason, "; ".join(map(event_text.readable, entry.mechanisms))


def block_details(block: PrivateDataBlock) -> Iterator[Table]:
    """Yield what a block is, and where its budget is: who holds or waits for how much.

    Renyi curves are shown at the order at which most is left.
    """
    yield _facts(*details.block_facts(block))
    yield _budgets(summary.left_amount(block), details.block_amounts(block))


def claim_details(claim: PrivacyBudgetClaim) -> Iterator[Table]:
    """Yield what a claim is, its requests with their answers, and what it holds on which block."""
    yield _facts(*details.claim_facts(claim))
    table = Table("request", "action", "answer", "reason", box=None)
    for row in details.claim_requests(claim):
        table.add_row(*row)
    yield table
    holdings = details.claim_amounts(claim)
    if holdings:
        yield _budgets(holdings[0][1], holdings)


def replay_result(scenario: Scenario, result: Replay, policy: Mapping[str, str]) -> Iterator[Table]:
    """Yield how many claims of a scenario were granted, how much of each block that used, and when each was granted."""
    yield _facts(
        ("scenario", scenario.name),
        *policy.items(),
        ("granted", f"{len(result.granted)} of {len(scenario.claims)} claims"),
        ("seconds spent deciding", f"{result.wall_seconds:.3f}"),
    )
    block_table = Table(_name_column("block"), "used", "unlocked", box=None)
    for block, used, unlocked in zip(scenario.blocks, result.used_share, result.unlocked_share, strict=True):
        block_table.add_row(str(block.id), f"{used:.1%}", f"{unlocked:.1%}")
    yield block_table
    claim_table = Table("granted claim", "at second", box=None)
    for claim, seconds in zip(result.granted, result.grant_seconds, strict=True):
        claim_table.add_row(str(claim), f"{seconds:.6g}")
    yield claim_table


def _name_column(title: str) -> Column:
    """Return a column of names, which are wrapped where they are too wide, and never cut: they are copied from here."""
    return Column(title, overflow="fold")


def _facts(*rows: tuple[str, object]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def _budgets(left: PrivacyBudget, rows: list[tuple[str, PrivacyBudget]]) -> Table:
    """Return a row for each amount: its epsilon and delta, or its Renyi epsilon at the best order of `left`."""
    header, lines = budget_text.columns(rows, left=left)
    table = Table(*header, box=None, caption="the whole curves: -o yaml" if isinstance(left, RenyiCurve) else None)
    for line in lines:
        table.add_row(*line)
    return table
