"""One scheduling decision: unlock what time unlocks, then grant what fits, one request after another."""

from __future__ import annotations

from collections.abc import Mapping

from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling.ordering import Key, OrderingPolicy
from privatekube.scheduling.snapshot import BlockView, Grant, Plan, Snapshot, WaitingRequest
from privatekube.scheduling.unlocking import UnlockingPolicy

Available = dict[str, PrivacyBudget]


def plan(snapshot: Snapshot, *, unlocking: UnlockingPolicy, ordering: OrderingPolicy, tick: bool = True) -> Plan:
    """Decide; pure and deterministic.

    1. Unlock what the policy unlocks at this time: a policy with a period only when `tick` says that it has passed.
    2. Among the requests that fit, grant the first by the ordering on its blocks of smallest share; repeat.
    """
    unlocks = _unlocks(snapshot, unlocking) if tick or unlocking.period_ms is None else {}
    available = {
        block.id: block.available + unlocks[block.id] if block.id in unlocks else block.available
        for block in snapshot.blocks.values()
    }
    waiting = {position: request for position, request in enumerate(snapshot.waiting) if request.demand}
    ready: dict[int, tuple[Key, Grant]] = {}
    stale = set(waiting)
    grants: list[Grant] = []
    while True:
        for position in stale:
            ready.pop(position, None)
            candidate = _readiness(waiting[position], position, snapshot.blocks, available, ordering)
            if candidate is not None:
                ready[position] = candidate
        if not ready:
            return Plan(unlocks, tuple(grants))
        first = min(ready, key=lambda position: ready[position][0])
        granted = ready.pop(first)[1]
        request = waiting.pop(first)
        for block_id in granted.blocks:
            available[block_id] = available[block_id] - request.demand[block_id]
        grants.append(granted)
        touched = set(granted.blocks)
        stale = {position for position, each in waiting.items() if not touched.isdisjoint(each.demand)}


def chosen_blocks(
    request: WaitingRequest, blocks: Mapping[str, BlockView], available: Mapping[str, PrivacyBudget]
) -> tuple[str, ...] | None:
    """The blocks a request would get now: those of smallest share among which its demand fits; None if too few."""
    present = [block_id for block_id in request.demand if block_id in blocks]
    count = min(request.n_blocks or len(present), len(present))
    fitting = [
        block_id
        for block_id in present
        if available[block_id].admits(request.demand[block_id], capacity=blocks[block_id].capacity)
    ]
    if not present or len(fitting) < count:
        return None
    by_share = sorted(fitting, key=lambda block_id: (_share(request, blocks[block_id]), block_id))
    return tuple(by_share[:count])


def _unlocks(snapshot: Snapshot, unlocking: UnlockingPolicy) -> dict[str, PrivacyBudget]:
    unlocked = {block.id: unlocking.on_tick(block, snapshot.now_ms) for block in snapshot.blocks.values()}
    return {block_id: amount for block_id, amount in unlocked.items() if amount is not None}


def _readiness(
    request: WaitingRequest,
    position: int,
    blocks: Mapping[str, BlockView],
    available: Available,
    ordering: OrderingPolicy,
) -> tuple[Key, Grant] | None:
    chosen = chosen_blocks(request, blocks, available)
    if chosen is None:
        return None
    shares = sorted((_share(request, blocks[block_id]) for block_id in chosen), reverse=True)
    return ordering(request, position, shares), Grant(request.id, chosen)


def _share(request: WaitingRequest, block: BlockView) -> float:
    return max(request.demand[block.id].share_of(block.capacity), default=0.0)
