"""The list of blocks, and one block in full."""

from __future__ import annotations

from dataclasses import dataclass

from privatekube.forecast import run_out
from privatekube.page.snapshot import Snapshot
from privatekube.page.views import spending, wording
from privatekube.page.views.spending import Spender
from privatekube.privacy import budget_text
from privatekube.resources import details, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.meta import Condition
from privatekube.resources.remaining import Remaining

MOST_AMOUNTS = 200
"""How many claims on a block are listed one by one."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block in the list; `days` and `budget` are in words."""

    id: str
    dataset: str
    days: str
    left: Remaining
    budget: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Args:
        id: `namespace/name`.
        left: what is left of it.
        days: in words.
        facts: what it is.
        header: of the amounts.
        amounts: who holds or waits for how much, at the best order in Renyi accounting.
        n_hidden: how many amounts are not listed.
        spenders: which claims spent how much.
        runs_out: when it runs out, in words.
        conditions: what the control plane says of it.
    """

    id: str
    left: Remaining
    days: str
    facts: tuple[tuple[str, object], ...]
    header: tuple[str, ...]
    amounts: tuple[tuple[str, ...], ...]
    n_hidden: int
    spenders: tuple[Spender, ...]
    runs_out: str
    conditions: tuple[Condition, ...]


def rows(snapshot: Snapshot, *, search: str = "", dataset: str | None = None) -> list[PrivateDataBlock]:
    """Return the blocks whose id, dataset or days contain a text, sorted by what is left, the least first."""
    wanted = search.casefold()
    blocks = [block for block in snapshot.blocks.values() if dataset in (None, block.spec.dataset)]
    if wanted:
        blocks = [block for block in blocks if wanted in _searched(block)]
    return sorted(blocks, key=lambda block: snapshot.left[block.id].share)


def row(snapshot: Snapshot, block: PrivateDataBlock) -> BlockRow:
    """Return a block as a row of the list."""
    waiting = 0 if block.status is None else len(block.status.reserved)
    left = snapshot.left[block.id]
    return BlockRow(block.id, block.spec.dataset, wording.days_of(block), left, summary.left(block), waiting)


def block(snapshot: Snapshot, block_id: str) -> Block | None:
    """Return a block in full; None if it does not exist."""
    stored = snapshot.blocks.get(block_id)
    if stored is None:
        return None
    amounts = details.block_amounts(stored)
    shown = amounts[:MOST_AMOUNTS]
    header, lines = budget_text.columns(shown, left=summary.left_amount(stored))
    entries = snapshot.entries_of_block.get(block_id, ())
    return Block(
        id=block_id,
        left=snapshot.left[block_id],
        days=wording.days_of(stored),
        facts=tuple(details.block_facts(stored)),
        header=header,
        amounts=tuple(lines),
        n_hidden=len(amounts) - len(shown),
        spenders=tuple(spending.spenders(snapshot, spending.By.CLAIM, entries)[:MOST_AMOUNTS]),
        runs_out=str(run_out.of_block(snapshot.histories[block_id], now_ms=snapshot.now_ms)),
        conditions=() if stored.status is None else stored.status.conditions,
    )


def _searched(block: PrivateDataBlock) -> str:
    return f"{block.id} {block.spec.dataset} {wording.days_of(block)}".casefold()
