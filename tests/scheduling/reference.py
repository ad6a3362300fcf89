"""The scheduling pass exactly as specified, on budget objects: slow, and what the arrays must decide, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling.snapshot import BlockView, GrantDecision, Snapshot, WaitingRequest

Available = Mapping[str, PrivacyBudget]


def grants(snapshot: Snapshot, order: str) -> list[GrantDecision]:
    """Return the grants: grant the first request that is ready, recompute, repeat; `order` is fcfs, dpf or rr."""
    available = {block.id: block.available for block in snapshot.blocks.values()}
    waiting = dict(enumerate(snapshot.waiting))
    granted: list[GrantDecision] = []
    while True:
        ready = []
        for position, request in waiting.items():
            chosen = chosen_blocks(
                request, snapshot.blocks, available, sharers(waiting.values(), order, snapshot.blocks)
            )
            if chosen is not None:
                shares = sorted((share(request, snapshot.blocks[name]) for name in chosen), reverse=True)
                ready.append((() if order == "fcfs" else tuple(shares), position, chosen))
        if not ready:
            return granted
        _, position, chosen = min(ready)
        request = waiting.pop(position)
        for name in chosen:
            available[name] = available[name] - request.demand[name]
        granted.append(GrantDecision(request.id, {name: request.demand[name] for name in chosen}))


def sharers(waiting: Iterable[WaitingRequest], order: str, blocks: Mapping[str, BlockView]) -> dict[str, int]:
    """Return how many requests share each block under round robin; empty under other orders.

    A request has no share where it could not be granted if the block's whole budget were available, and none at all if
    too few of its blocks are left.
    """
    counts: dict[str, int] = {}
    wholes = {name: block.capacity for name, block in blocks.items()}
    for request in waiting if order == "rr" else ():
        if chosen_blocks(request, blocks, wholes, {}) is not None:
            for name, demand in request.demand.items():
                if name in blocks and wholes[name].admits(demand, capacity=wholes[name]):
                    counts[name] = counts.get(name, 0) + 1
    return counts


def chosen_blocks(
    request: WaitingRequest, blocks: Mapping[str, BlockView], available: Available, shared_by: Mapping[str, int]
) -> tuple[str, ...] | None:
    """Return the blocks of smallest share that fit the demand once per sharer; None if too few do."""
    present = [name for name in request.demand if name in blocks]
    count = min(request.n_blocks or len(present), len(present))
    fitting = [
        name
        for name in present
        if available[name].admits(request.demand[name] * shared_by.get(name, 1), capacity=blocks[name].capacity)
    ]
    if not present or len(fitting) < count:
        return None
    return tuple(sorted(fitting, key=lambda name: (share(request, blocks[name]), name))[:count])


def share(request: WaitingRequest, block: BlockView) -> float:
    """Return the largest fraction of a block's capacity that the request demands."""
    return max(request.demand[block.id].share_of(block.capacity), default=0.0)
