"""When blocks and datasets run out, by what the ledger says was spent on them lately."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from privatekube.forecast import depletion
from privatekube.forecast.depletion import DAY_MS, WINDOW_DAYS, Depletion
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger, remaining
from privatekube.resources.ledger import Entry


@dataclass(frozen=True, slots=True)
class Commit:
    """What a claim committed on a block: its share of the block's lifetime, and when, in unix milliseconds."""

    claim: str
    share: float
    time_ms: int


@dataclass(frozen=True, slots=True)
class History:
    """What was spent of a block, and what is left.

    Args:
        block: its id.
        left: the share of its lifetime that no claim was granted.
        since_ms: when it could be spent first, in unix milliseconds.
        commits: all of them, in order.
    """

    block: str
    left: float
    since_ms: int
    commits: tuple[Commit, ...]


def history(block: str, left: float, entries: Iterable[Entry], *, whole: PrivacyBudget, created_ms: int) -> History:
    """Return the history of a block by its entries in the ledger; what it inherited was not spent on it.

    An earlier block of the same name may have entries that are older than the block.
    """
    commits = tuple(
        Commit(entry.claim, remaining.share_of(entry.amount, whole) or 0.0, entry.time_ms)
        for entry in entries
        if entry.reason != ledger.INHERITED
    )
    return History(block, left, min([created_ms, *(commit.time_ms for commit in commits[:1])]), commits)


def of_block(block: History, *, now_ms: int, days: int = WINDOW_DAYS) -> Depletion:
    """Return when a block runs out at the rate of the last days, or of its whole life if it is younger."""
    since_ms = max(block.since_ms, now_ms - days * DAY_MS)
    recent = [commit.share for commit in block.commits if commit.time_ms >= since_ms]
    largest = max((commit.share for commit in block.commits), default=None)
    return depletion.forecast(recent, block.left, since_ms=since_ms, now_ms=now_ms, largest=largest)


def of_dataset(blocks: Sequence[History], *, now_ms: int, days: int = WINDOW_DAYS) -> Depletion:
    """Return when nothing is left of any of these blocks, if all that is left is spent at the rate of them together.

    What a claim commits on several blocks is one commit. New blocks, which would bring new budget, are not foreseen.
    """
    since_ms = max(min(block.since_ms for block in blocks), now_ms - days * DAY_MS)
    sums = _by_claim(commit for block in blocks for commit in block.commits)
    recent = _by_claim(commit for block in blocks for commit in block.commits if commit.time_ms >= since_ms)
    whole = len(blocks)
    return depletion.forecast(
        [amount / whole for amount in recent],
        math.fsum(max(0.0, block.left) for block in blocks) / whole,
        since_ms=since_ms,
        now_ms=now_ms,
        largest=max(sums, default=whole) / whole,
    )


def first(blocks: Sequence[History], *, now_ms: int, days: int = WINDOW_DAYS) -> tuple[str, Depletion]:
    """Return which of these blocks, at least one, runs out first, and when."""
    earliest_ms = now_ms - days * DAY_MS

    def wait_ms(block: History) -> float:
        """Return what `of_block` estimates, without the interval, which takes longer."""
        since_ms = max(block.since_ms, earliest_ms)
        spent = math.fsum(commit.share for commit in block.commits if commit.time_ms >= since_ms)
        if block.left <= 0:
            return 0.0
        return block.left / spent * max(DAY_MS, now_ms - since_ms) if spent > 0 else math.inf

    chosen = min(blocks, key=lambda block: (wait_ms(block), block.left))
    return chosen.block, of_block(chosen, now_ms=now_ms, days=days)


def _by_claim(commits: Iterable[Commit]) -> list[float]:
    sums: dict[str, float] = {}
    for commit in commits:
        sums[commit.claim] = sums.get(commit.claim, 0.0) + commit.share
    return list(sums.values())
