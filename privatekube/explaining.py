"""Explanations instead of refusals: which block lacks what."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube import errors
from privatekube.resources import matching, moves
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import AllocateRequest


def require_possible(found: Sequence[PrivateDataBlock], request: AllocateRequest) -> None:
    """Refuse a demand that waiting cannot meet: it exceeds what is locked and unlocked on too many of its blocks.

    What other claims hold or wait for may come back, but nobody can count on it.

    Raises:
        BudgetUnavailable: names a block, what was asked and what is left.
    """
    demands = matching.demand(request, found)
    lacking = []
    for block in found:
        status = moves.status_of(moves.initialised(block))
        left = status.pending + status.available
        if not left.admits(demands[block.id], capacity=block.spec.initial_budget):
            lacking.append(f"block {block.id} lacks budget: asked {demands[block.id]}, left {left}")
    if len(found) - len(lacking) < matching.needed(request, len(found)):
        others = f" (and {len(lacking) - 1} more blocks)" if len(lacking) > 1 else ""
        raise errors.BudgetUnavailable(
            f"{lacking[0]}{others}; ask for less, for fewer blocks, or create blocks of new data"
        )


def shortage(found: Sequence[PrivateDataBlock], request: AllocateRequest) -> str:
    """What the first of the candidate blocks that lacks budget lacks."""
    demands = matching.demand(request, found)
    for block in found:
        status = moves.status_of(block)
        if not status.available.admits(demands[block.id], capacity=block.spec.initial_budget):
            return (
                f"block {block.id} lacks unlocked budget: asked {demands[block.id]}, available {status.available}, "
                f"still locked {status.pending}"
            )
    return "the budget came free too late"
