"""One scheduling decision: unlock budget by time, then grant the requests that fit, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling import unlocking
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.request_table import RequestTable
from privatekube.scheduling.snapshot import BlockView, Decisions, GrantDecision, Snapshot, WaitingRequest
from privatekube.scheduling.unlocking import UnlockingPolicy


def decide(snapshot: Snapshot, policy: Policy, *, tick: bool = True) -> Decisions:
    """Return what to unlock and what to grant; the function is pure and deterministic.

    1. Unlock what the policy unlocks at this time; a policy with a period unlocks only if `tick`.
    2. Among the requests that fit, grant the first by the ordering, on its blocks of smallest share; repeat.

    Args:
        snapshot: the blocks and the waiting requests.
        policy: how budget unlocks, and which request goes first.
        tick: whether a period of the policy has passed.
    """
    has_passed = tick or policy.unlocking.period_ms is None
    unlocks = _unlocks(snapshot, policy.unlocking) if has_passed else {}
    candidates = [(request, sorted(request.demand.keys() & snapshot.blocks.keys())) for request in snapshot.waiting]
    waiting = [(request, names) for request, names in candidates if names]
    if not waiting:
        return Decisions(unlocks, ())
    rows = sorted({name for _, names in waiting for name in names})
    table, columns = _budget_table([snapshot.blocks[name] for name in rows], unlocks)
    requests = _request_table(waiting, rows, table, columns)
    queue = policy.ordering(table, requests)
    queue.submit(range(len(requests)))
    grants = [
        GrantDecision(waiting[request][0].id, tuple(rows[row] for row in requests.block[edges]))
        for request, edges in queue.grant(range(len(rows)))
    ]
    return Decisions(unlocks, tuple(grants))


def _unlocks(snapshot: Snapshot, policy: UnlockingPolicy) -> dict[str, PrivacyBudget]:
    amounts = {
        block.id: unlocking.tick_amount(policy, block.schedule, block.pending, snapshot.now_ms)
        for block in snapshot.blocks.values()
    }
    return {block_id: amount for block_id, amount in amounts.items() if amount is not None}


def _budget_table(blocks: Sequence[BlockView], unlocks: dict[str, PrivacyBudget]) -> tuple[BudgetTable, BudgetColumns]:
    capacity = [block.capacity for block in blocks]
    columns = BudgetColumns(capacity)
    table = BudgetTable.from_budgets(
        columns,
        capacity=capacity,
        pending=[block.pending for block in blocks],
        available=[block.available + unlocks[block.id] if block.id in unlocks else block.available for block in blocks],
    )
    return table, columns


def _request_table(
    waiting: Sequence[tuple[WaitingRequest, list[str]]],
    rows: Sequence[str],
    table: BudgetTable,
    columns: BudgetColumns,
) -> RequestTable:
    row_of = {name: row for row, name in enumerate(rows)}
    curves: dict[PrivacyBudget, int] = {}
    edges = [
        (row_of[name], curves.setdefault(request.demand[name], len(curves)))
        for request, names in waiting
        for name in names
    ]
    counts = np.array([len(names) for _, names in waiting], dtype=np.int64)
    requested = np.array([request.n_blocks or len(names) for request, names in waiting], dtype=np.int64)
    block, curve = np.array(edges, dtype=np.int64).T
    return RequestTable.from_edges(
        table,
        counts=counts,
        needed=np.minimum(requested, counts),
        block=block,
        curve=curve,
        demands=columns.rows(curves),
    )
