"""How often the same request could be granted until the budget of its blocks is used up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from privatekube.privacy import bisection
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock

MOST = 1_000_000
"""The largest number that is counted."""


def of_block(block: PrivateDataBlock, demand: PrivacyBudget) -> int:
    """Return how many such demands fit what is locked and available on a block, up to `MOST`.

    The scheduler's own test decides. In Renyi accounting that is exact, too: k equal demands fit one after the other
    if k times the demand fits at one order, since the demand before left more at this order.
    """
    status = transitions.status_of(transitions.initialize_status(block))
    left, whole = status.pending + status.available, block.spec.initial_budget
    return bisection.largest_integer(lambda number: left.admits(demand * number, capacity=whole), limit=MOST)


def of_request(blocks: Sequence[PrivateDataBlock], demands: Mapping[str, PrivacyBudget], *, needed: int) -> int:
    """Return how often a request for `needed` of the blocks fits them, if it gets the same blocks each time."""
    counts = sorted((of_block(block, demands[block.id]) for block in blocks), reverse=True)
    return counts[needed - 1]
