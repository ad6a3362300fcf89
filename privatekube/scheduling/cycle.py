"""One scheduling decision: grant the requests that fit, one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling import limits
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.limits import Limit
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.request_table import LimitTable, RequestTable
from privatekube.scheduling.snapshot import BlockView, GrantDecision, Snapshot, WaitingRequest


@np.errstate(over="ignore")  # a share of a huge demand may be infinite, which is larger than all budgets as well
def decide(snapshot: Snapshot, policy: Policy) -> tuple[GrantDecision, ...]:
    """Return what to grant, in this order; the function is pure and deterministic.

    Among the requests that fit, the first by the policy's ordering is granted, on its blocks of smallest share; then
    the next among those that still fit, until nothing fits. A request fits on a block if that has room and every limit
    of the request allows it.

    Args:
        snapshot: the blocks, on which the policy has unlocked what it unlocks by now, and the waiting requests.
        policy: which request goes first.
    """
    if not snapshot.limits:
        return tuple(_decided(snapshot, policy))
    grants: list[GrantDecision] = []
    while True:
        is_limited, taken = False, list[GrantDecision]()
        for grant in _decided(_allowed(snapshot), policy):
            is_limited = not limits.allow(snapshot.limits, grant.request_id, grant.amounts)
            if is_limited:  # what was granted before it has used up its limit, so the rest is decided without it
                break
            left = tuple(limit.after(grant.request_id, grant.amounts) for limit in snapshot.limits)
            snapshot = replace(snapshot, limits=left)
            taken.append(grant)
        grants += taken
        if not is_limited:
            return tuple(grants)
        snapshot = _after(snapshot, taken)


def _allowed(snapshot: Snapshot) -> Snapshot:
    """Return the requests with those of their blocks that their limits allow; without those for which too few are."""
    waiting = []
    for request in snapshot.waiting:
        allowed = {
            key: amount
            for key, amount in request.demand.items()
            if limits.allow(snapshot.limits, request.id, {key: amount})
        }
        needed = min(request.n_blocks or len(request.demand), len(request.demand))
        if len(allowed) >= needed:
            waiting.append(replace(request, demand=allowed, n_blocks=needed))
    return replace(snapshot, waiting=tuple(waiting))


def _after(snapshot: Snapshot, grants: Sequence[GrantDecision]) -> Snapshot:
    """Return what is left to decide after these grants; their limits are counted already."""
    granted, blocks = {grant.request_id for grant in grants}, dict(snapshot.blocks)
    for grant in grants:
        for key, amount in grant.amounts.items():
            at_orders = arithmetic.at_orders_of(amount, blocks[key].available)
            blocks[key] = replace(blocks[key], available=blocks[key].available - at_orders)
    waiting = tuple(request for request in snapshot.waiting if request.id not in granted)
    return replace(snapshot, blocks=blocks, waiting=waiting)


def _decided(snapshot: Snapshot, policy: Policy) -> Iterator[GrantDecision]:
    """Yield what is granted; an ordering that asks the table of blocks alone does not look at the limits."""
    candidates = [(request, sorted(request.demand.keys() & snapshot.blocks.keys())) for request in snapshot.waiting]
    waiting = [(request, names) for request, names in candidates if names]
    if not waiting:
        return
    rows = sorted({name for _, names in waiting for name in names})
    table, columns = _budget_table([snapshot.blocks[name] for name in rows])
    requests = _request_table(waiting, rows, table, columns)
    if snapshot.limits:
        tables = tuple(_limit_table(limit, waiting, rows, columns) for limit in snapshot.limits)
        requests = replace(requests, limits=tables)
    queue = policy.ordering(table, requests)
    queue.submit(range(len(requests)))
    for position, edges in queue.grant(range(len(rows))):
        request, names = waiting[position][0], [rows[row] for row in requests.block[edges]]
        yield GrantDecision(request.id, {name: request.demand[name] for name in names})


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


def _limit_table(
    limit: Limit, waiting: Sequence[tuple[WaitingRequest, list[str]]], rows: Sequence[str], columns: BudgetColumns
) -> LimitTable:
    """Return a limit as a table; a block that it does not name has no component, so that nothing fits there."""
    named = [row for row, name in enumerate(rows) if name in limit.capacity and name in limit.used]
    capacity, left = np.full((2, len(rows), columns.count), np.nan)
    required = np.ones(len(rows), dtype=np.int64)
    whole = [limit.capacity[rows[row]] for row in named]
    capacity[named] = columns.rows(whole)
    left[named] = columns.rows(limit.capacity[rows[row]] - limit.used[rows[row]] for row in named)
    required[named] = [1 if budget.orders else len(budget.values) for budget in whole]
    blocks = BudgetTable(capacity=capacity, pending=np.zeros_like(capacity), available=left, required=required)
    return LimitTable(blocks, np.array([request.id in limit.requests for request, _ in waiting], dtype=np.bool_))


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
        weight=np.array([request.weight for request, _ in waiting]),
        deadline=np.array([math.inf if (at := request.deadline_ms) is None else at for request, _ in waiting]),
    )
