"""DPack: grant as many requests as possible, those first that need the least of the scarce budget.

Each Renyi block is measured at its best alpha: the order at which the most waiting requests would fit if that order
alone counted, the smallest demands first. The cost of a request is the sum over its blocks of its demand as a fraction
of what is left there at that order. An epsilon-delta block counts the larger of its two fractions. The request of
smallest cost goes first. Grants change what is left and who waits, so orders and costs are computed again after every
tenth of the requests. Where data owners have given teams weights, a cost is divided by the weight of its team, since
what is maximized is the sum of the weights of what is granted. Of equal costs, that with the earliest deadline goes
first, which changes no sum and lets fewer claims become useless.

Source: Tholoniat et al., "DPack: Efficiency-Oriented Privacy Budget Scheduling" (EuroSys'25), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from privatekube.scheduling.budget_table import BudgetTable, Floats, Integers
from privatekube.scheduling.request_table import Edges, RequestTable, starts

ROUNDS = 10
"""Costs are computed again after each 1/ROUNDS of the requests that fit at first. More rounds grant 0.1 % more."""


class PackingQueue:
    """A `queue.RequestQueue` in order of cost.

    A request that does not fit is parked on as many of its blocks as must change before it can fit. So a decision looks
    only at new requests, and at those parked on a block on which more became available.

    Args:
        table: the blocks; grants are subtracted from it.
        requests: all requests that may ever wait.
    """

    def __init__(self, table: BudgetTable, requests: RequestTable) -> None:
        self._table, self._requests = table, requests
        self._waiting = np.zeros(len(requests), dtype=np.bool_)
        self._parked: list[list[int]] = [[] for _ in range(len(table.required))]
        """The edges that are parked on each block."""
        self._new: list[int] = []
        self._unfit: list[int] = []
        """Requests that did not fit in the last decision, which the next one parks."""

    def submit(self, requests: Iterable[int]) -> None:
        """Add requests to the queue."""
        self._new += requests
        for request in self._new:
            self._waiting[request] = True

    def drop(self, request: int) -> None:
        """Remove a request that was granted or timed out."""
        self._waiting[request] = False

    def grant(self, touched: Iterable[int]) -> Iterator[tuple[int, Edges]]:
        """Grant requests until nothing fits, and compute the costs again after each round."""
        tried = self._unpark(touched)
        self._unfit = tried
        if len(tried) > 1:
            yield from self._grant_in_rounds(self._grantable(np.array(tried, dtype=np.int64)))
        elif tried:
            yield from self._grant_each(tried, 1)

    def _grant_in_rounds(self, candidates: Integers) -> Iterator[tuple[int, Edges]]:
        quota = max(1, len(candidates) // ROUNDS)
        while len(candidates):
            yield from self._grant_each(self._by_cost(candidates), quota)
            candidates = self._grantable(candidates)

    def _grant_each(self, requests: list[int], quota: int) -> Iterator[tuple[int, Edges]]:
        """Grant one request after another, and at most a number of them."""
        for request in requests:
            edges = self._requests.grantable_edges(self._table, request)
            if edges is not None:
                self._requests.subtract(self._table, edges)
                self.drop(request)
                yield request, edges
                quota -= 1
            if not quota:
                return

    def _unpark(self, touched: Iterable[int]) -> list[int]:
        """Return the new requests, and unpark those that fit on one of the touched blocks now; in order of arrival."""
        tried = {request for request in self._unfit if self._waiting[request] and not self._park(request)}
        tried.update(request for request in self._new if self._waiting[request])
        self._new = []
        rows = [row for row in touched if self._parked[row]]
        if rows:
            edges = np.array([edge for row in rows for edge in self._parked[row]], dtype=np.int64)
            is_done = self._requests.fits(self._table, edges) | ~self._waiting[self._requests.request[edges]]
            for edge in edges[is_done].tolist():
                self._parked[self._requests.block.item(edge)].remove(edge)
                request = self._requests.request.item(edge)
                tried.update([request] if self._waiting[request] else [])
        return sorted(tried)

    def _park(self, request: int) -> bool:
        """Park a request on enough blocks that it cannot fit until one of them changes; return False if it fits."""
        edges = self._requests.edges(request)
        lacking = edges.start + (~self._requests.fits(self._table, edges)).nonzero()[0]
        spare = edges.stop - edges.start - self._requests.needed.item(request)
        if len(lacking) <= spare:
            return False
        for edge in lacking[: spare + 1].tolist():
            parked = self._parked[self._requests.block.item(edge)]
            if edge not in parked:
                parked.append(edge)
        return True

    def _grantable(self, requests: Integers) -> Integers:
        waiting = requests[self._waiting[requests]]
        return waiting[self._requests.grantable(self._table, waiting)] if len(waiting) else waiting

    def _by_cost(self, requests: Integers) -> list[int]:
        """Return the requests in order of cost, then of `turn`."""
        if len(requests) == 1:
            return [requests.item(0)]
        costs = self._costs(self._requests.edges_of(requests))
        counts, needed = self._requests.edge_counts(requests), self._requests.needed[requests]
        begins = starts(counts)
        totals = np.add.reduceat(costs, begins)
        for position in np.flatnonzero(counts > needed):  # a request with a choice of blocks counts the cheapest ones
            block_costs = costs[begins[position] : begins[position] + counts[position]]
            totals[position] = np.sort(block_costs)[: needed[position]].sum()
        if self._requests.weight is not None:
            totals = totals / self._requests.weight[requests]
        in_order: list[int] = requests[np.lexsort((self._requests.turn[requests], totals))].tolist()
        return in_order

    def _costs(self, edges: Integers) -> Floats:
        """Return what each edge takes of what is left on its block, at the best alpha of the block `[n]`."""
        pairs, positions, times = np.unique(
            self._requests.block[edges] * len(self._requests.demands) + self._requests.curve[edges],
            return_inverse=True,
            return_counts=True,
        )
        rows, curves = np.divmod(pairs, len(self._requests.demands))
        demands, left = self._requests.demands[curves], self._table.ceiling[rows]
        parts = np.full(demands.shape, np.inf)
        np.divide(demands, left, where=left > 0, out=parts)
        parts[demands == 0] = 0.0
        cost = np.fmax.reduce(np.where(np.isnan(demands), np.nan, parts), axis=1, initial=0.0)
        is_renyi = self._table.required == 1
        for row in np.unique(rows[is_renyi[rows]]):
            on_block = rows == row
            column = _best_alpha(demands[on_block], times=times[on_block], left=self._table.ceiling[row])
            cost[on_block] = parts[on_block, column]
        return np.asarray(cost[positions])


def _best_alpha(demands: Floats, *, times: Integers, left: Floats) -> int:
    """Return the column at which the most requests fit, the smallest demands first.

    Args:
        demands: the distinct demands on one block `[n, K]`.
        times: how many requests make each demand `[n]`.
        left: what is left of the block `[K]`.
    """
    by_size = np.argsort(demands, axis=0)
    sizes = np.take_along_axis(demands, by_size, axis=0)
    counts = times[by_size]
    before = np.cumsum(sizes * counts, axis=0) - sizes * counts
    with np.errstate(divide="ignore", invalid="ignore"):
        fitting = np.where(sizes > 0, np.floor((left - before) / sizes), counts)
    return int(np.argmax(np.nan_to_num(np.clip(fitting, 0, counts)).sum(axis=0)))
