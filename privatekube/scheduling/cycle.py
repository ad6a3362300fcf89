"""One scheduling decision: grant the requests that fit, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.request_table import RequestTable
from privatekube.scheduling.snapshot import BlockView, GrantDecision, Snapshot, WaitingRequest


@np.errstate(over="ignore")  # a share of a huge demand may be infinite, which is larger than all budgets as well
def decide(snapshot: Snapshot, policy: Policy) -> tuple[GrantDecision, ...]:
    """Return what to grant, in this order; the function is pure and deterministic.

    Among the requests that fit, the first by the policy's ordering is granted, on its blocks of smallest share; then
    the next among those that still fit, until nothing fits.

    Args:
        snapshot: the blocks, on which the policy has unlocked what it unlocks by now, and the waiting requests.
        policy: which request goes first.
    """
    candidates = [(request, sorted(request.demand.keys() & snapshot.blocks.keys())) for request in snapshot.waiting]
    waiting = [(request, names) for request, names in candidates if names]
    if not waiting:
        return ()
    rows = sorted({name for _, names in waiting for name in names})
    table, columns = _budget_table([snapshot.blocks[name] for name in rows])
    requests = _request_table(waiting, rows, table, columns)
    queue = policy.ordering(table, requests)
    queue.submit(range(len(requests)))
    grants = []
    for position, edges in queue.grant(range(len(rows))):
        request, names = waiting[position][0], [rows[row] for row in requests.block[edges]]
        grants.append(GrantDecision(request.id, {name: request.demand[name] for name in names}))
    return tuple(grants)


def _budget_table(blocks: Sequence[BlockView]) -> tuple[BudgetTable, BudgetColumns]:
    capacity = [block.capacity for block in blocks]
    columns = BudgetColumns(capacity)
    table = BudgetTable.from_budgets(
        columns,
        capacity=capacity,
        pending=[block.capacity * 0.0 for block in blocks],  # a decision unlocks nothing
        available=[block.available for block in blocks],
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
