"""The tables at the end of a run: blocks before and after, the claim, its spends, the DP metrics, the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from privatekube import errors
from privatekube.privacy import budget_text, event_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.wire import common
from privatekube.steps import documents

MOST_BLOCKS = 12
_NAME_WIDTH = 40
"""Up to how many characters a block's name is in one line, however narrow the terminal is."""


def show(
    console: Console, folder: Path, before: Mapping[str, PrivacyBudget], after: Mapping[str, PrivacyBudget]
) -> None:
    """Print what a finished run consumed and what it published.

    Args:
        console: where to print.
        folder: where the run published its results.
        before: what was left of each block without the run, by block id.
        after: what is left of each now.
    """
    receipt = documents.read(documents.Receipt, folder / "receipt.json")
    try:
        metrics = documents.read(documents.Metrics, folder / "metrics.json")
    except errors.InvalidInput:  # a replacement of dp_evaluate may publish metrics of another form: they are paid for
        metrics = None
    console.print(_block_table(receipt, before, after))
    console.print(_run_table(receipt, metrics, folder))


def _block_table(
    receipt: documents.Receipt, before: Mapping[str, PrivacyBudget], after: Mapping[str, PrivacyBudget]
) -> Table:
    block_ids = sorted(receipt.committed)
    names = [block_id.rpartition("/")[2] for block_id in block_ids[:MOST_BLOCKS]]
    width = min(_NAME_WIDTH, max(map(len, names), default=0))
    name_column = Column("block", overflow="fold", min_width=width)
    table = Table(name_column, "left before", "committed", "left after", title="Privacy budget", box=None)
    for name, block_id in zip(names, block_ids, strict=False):
        table.add_row(name, *_row(receipt.committed[block_id], before.get(block_id), after.get(block_id)))
    if len(block_ids) > MOST_BLOCKS:
        table.caption = f"and {len(block_ids) - MOST_BLOCKS} more: privatekube get blocks"
    return table


def _run_table(receipt: documents.Receipt, metrics: documents.Metrics | None, folder: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("claim", receipt.claim)
    for spend in receipt.spends:
        table.add_row(f"spent by {spend.step}", f"{event_text.describe(spend.event)}, on {spend.part} units")
    table.add_row("total", f"epsilon {receipt.epsilon:.6g} at delta {receipt.delta:.3g}")
    if metrics is not None:
        table.add_row(f"accuracy ({metrics.task}, {metrics.model})", _interval(metrics.accuracy, metrics.confidence))
    if metrics is not None and metrics.majority_share is not None:
        table.add_row("majority class", _interval(metrics.majority_share, metrics.confidence))
    here = Path.cwd()
    table.add_row("results", str(folder.relative_to(here) if folder.is_relative_to(here) else folder))
    return table


def _interval(share: documents.Estimate, confidence: float) -> str:
    if share.estimate is None:
        return "unknown: too few held-out reviews for the noise"
    return f"{share.estimate:.3f} ({100 * confidence:.0f} %: {share.low:.3f} to {share.high:.3f})"


def _row(wire: Mapping[str, Any], before: PrivacyBudget | None, after: PrivacyBudget | None) -> tuple[str, str, str]:
    """Return what was left, what was committed and what is left, of a Renyi block at the order that lasts longest."""
    price = common.budget_from_wire(wire)
    known = before or after

    def text(amount: PrivacyBudget | None) -> str:
        if amount is None:
            return "unknown"
        if price is None or known is None:
            return str(amount)
        return budget_text.at_best_order(amount, price=price, left=known)

    return text(before), "nothing" if price is None else text(price), text(after)
