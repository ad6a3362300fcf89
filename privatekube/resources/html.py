"""Blocks and claims as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube import html_table
from privatekube.privacy import budget_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import details, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim


def block(block: PrivateDataBlock) -> str:
    """Return what a block is, and where its budget is."""
    amounts = details.block_amounts(block)
    return html_table.facts(details.block_facts(block)) + _budgets(amounts, left=summary.left_amount(block))


def block_list(blocks: Sequence[PrivateDataBlock]) -> str:
    """Return a row for each block: its dataset, what is left, how much is committed, how many claims wait."""
    rows = [(block.id, block.spec.dataset, *summary.block_columns(block).values()) for block in blocks]
    return html_table.table(("block", "dataset", "left", "committed", "waiting claims"), rows)


def claim_list(claims: Sequence[PrivacyBudgetClaim]) -> str:
    """Return a row for each claim: its state, demand, number of blocks, and why it waits or was refused."""
    rows = [(claim.id, *summary.claim_columns(claim).values()) for claim in claims]
    return html_table.table(("claim", "state", "demand", "blocks", "reason"), rows)


def claim(claim: PrivacyBudgetClaim) -> str:
    """Return what a claim is, and what it holds on which block."""
    facts = [*details.claim_facts(claim), ("state", summary.state(claim)), ("demand", summary.demand(claim))]
    amounts = details.claim_amounts(claim)
    return html_table.facts(facts) + (_budgets(amounts, left=amounts[0][1]) if amounts else "")


def _budgets(amounts: details.Amounts, *, left: PrivacyBudget) -> str:
    return html_table.table(*budget_text.columns(amounts, left=left))
