"""What teams, users, purposes or months have committed: totals of the ledger's entries."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from privatekube import plain_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger
from privatekube.resources.ledger import Entry


class Group(enum.StrEnum):
    """By what entries are added up."""

    TEAM = "team"
    USER = "user"
    PURPOSE = "purpose"
    MONTH = "month"

    def key(self, entry: Entry) -> str:
        """Return the group of an entry; `not stated` where its claim does not say."""
        if self is Group.MONTH:
            return month(entry.time_ms)
        stated = {Group.TEAM: entry.requester.team, Group.USER: entry.requester.user}
        return stated.get(self, entry.requester.purpose) or plain_text.NOT_STATED


@dataclass(frozen=True, slots=True)
class Total:
    """What one group committed of one dataset.

    Args:
        key: the team, user, purpose or month.
        dataset: of the blocks.
        claims: how many claims committed it.
        blocks: on how many blocks.
        block: the block on which most was committed, by its first component: epsilon, or that at the lowest order.
        budget: what was committed there. People of other blocks are charged for those; this is the most for one.
    """

    key: str
    dataset: str
    claims: int
    blocks: int
    block: str
    budget: PrivacyBudget


def month(time_ms: int) -> str:
    """Return the month of a time in unix milliseconds, in UTC.

    >>> month(0)
    '1970-01'
    """
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m}"


def totals(entries: Iterable[Entry], group: Group) -> Iterator[Total]:
    """Yield the total of each group and dataset, by name.

    What was entered as inherited is left out: it was committed on other blocks, and is counted there.
    """
    grouped: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.reason != ledger.INHERITED:
            grouped[group.key(entry), entry.dataset].append(entry)
    for (key, dataset), members in sorted(grouped.items()):
        amounts = list(_by_block(members))
        block, budget = max(amounts, key=lambda item: (item[1].values[0], item[0]))
        blocks = {name for name, _ in amounts}
        yield Total(key, dataset, len({entry.claim for entry in members}), len(blocks), block, budget)


def _by_block(entries: Iterable[Entry]) -> Iterator[tuple[str, PrivacyBudget]]:
    """Yield what was committed on each block; on one that was created again with another accounting, in each."""
    sums: dict[tuple[str, tuple[float, ...] | None], PrivacyBudget] = {}
    for entry in entries:
        key = entry.block, getattr(entry.amount, "orders", None)
        sums[key] = sums[key] + entry.amount if key in sums else entry.amount
    for (block, _), amount in sums.items():
        yield block, amount
