"""One scheduling decision: unlock what time unlocks, then grant what fits, one request after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling import unlocking as unlockings
from privatekube.scheduling.budget_table import Columns, Table
from privatekube.scheduling.ordering import OrderingPolicy
from privatekube.scheduling.request_table import Requests
from privatekube.scheduling.snapshot import BlockView, Grant, Plan, Snapshot, WaitingRequest
from privatekube.scheduling.unlocking import UnlockingPolicy


def plan(snapshot: Snapshot, *, unlocking: UnlockingPolicy, ordering: OrderingPolicy, tick: bool = True) -> Plan:
    """Decide; pure and deterministic.

    1. Unlock what the policy unlocks at this time: a policy with a period only when `tick` says that it has passed.
    2. Among the requests that fit, grant the first by the ordering on its blocks of smallest share; repeat.
    """
    unlocks = _unlocks(snapshot, unlocking) if tick or unlocking.period_ms is None else {}
    waiting = [(each, sorted(each.demand.keys() & snapshot.blocks.keys())) for each in snapshot.waiting]
    waiting = [(each, candidates) for each, candidates in waiting if candidates]
    if not waiting:
        return Plan(unlocks, ())
    names = sorted({name for _, candidates in waiting for name in candidates})
    table, columns = _table([snapshot.blocks[name] for name in names], unlocks)
    requests = _requests(waiting, names, table, columns)
    line = ordering(table, requests)
    line.submit(range(len(requests)))
    grants = [
        Grant(waiting[request][0].id, tuple(names[row] for row in requests.block[edges]))
        for request, edges in line.decide(range(len(names)))
    ]
    return Plan(unlocks, tuple(grants))


def _unlocks(snapshot: Snapshot, unlocking: UnlockingPolicy) -> dict[str, PrivacyBudget]:
    unlocked = {
        block.id: unlockings.ticking(unlocking, block.schedule, block.pending, snapshot.now_ms)
        for block in snapshot.blocks.values()
    }
    return {block_id: amount for block_id, amount in unlocked.items() if amount is not None}


def _table(blocks: Sequence[BlockView], unlocks: dict[str, PrivacyBudget]) -> tuple[Table, Columns]:
    free = [block.available + unlocks[block.id] if block.id in unlocks else block.available for block in blocks]
    wholes = [block.capacity for block in blocks]
    columns = Columns(wholes)
    return Table.of(columns, wholes, [block.pending for block in blocks], free), columns


def _requests(
    waiting: Sequence[tuple[WaitingRequest, list[str]]], names: Sequence[str], table: Table, columns: Columns
) -> Requests:
    rows = {name: row for row, name in enumerate(names)}
    curves: dict[PrivacyBudget, int] = {}
    edges = [
        (rows[name], curves.setdefault(each.demand[name], len(curves)))
        for each, candidates in waiting
        for name in candidates
    ]
    counts = np.array([len(candidates) for _, candidates in waiting], dtype=np.int64)
    asked = np.array([each.n_blocks or len(candidates) for each, candidates in waiting], dtype=np.int64)
    block, curve = np.array(edges, dtype=np.int64).T
    return Requests.of(
        table,
        counts=counts,
        needed=np.minimum(asked, counts),
        block=block,
        curve=curve,
        demands=columns.rows(curves),
    )
