"""DPack: pack as many requests as possible, by what each takes of the budget that is scarce.

Each Renyi block is measured at its best order: the one at which most of those who wait there would fit by themselves,
the smallest first. A request's cost is the sum over its blocks of its demand as a fraction of what is left there, at
that order; an epsilon-delta block has no order to choose, and counts the larger of both fractions. The smallest cost
goes first. As grants change what is left and who waits, orders and costs are worked out again a number of times.

Source: Tholoniat et al., "DPack: Efficiency-Oriented Privacy Budget Scheduling" (EuroSys'25), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from privatekube.scheduling.budget_table import Floats, Integers, Table
from privatekube.scheduling.queue import Chosen
from privatekube.scheduling.request_table import Requests

ROUNDS = 10
"""Costs are worked out again after each 1/ROUNDS of the requests that fit at first; more takes longer for 0.1 %."""


class Packing:
    """Requests that wait to be packed; see the protocol `ordering.Waiting`."""

    def __init__(self, table: Table, requests: Requests) -> None:
        self._table, self._requests = table, requests
        self._waiting = np.zeros(len(requests), dtype=np.bool_)

    def submit(self, which: Iterable[int]) -> None:
        """See the protocol."""
        self._waiting[np.array(list(which), dtype=np.int64)] = True

    def drop(self, request: int) -> None:
        """See the protocol."""
        self._waiting[request] = False

    def decide(self, touched: Iterable[int]) -> Iterator[tuple[int, Chosen]]:  # noqa: ARG002 - costs change anyway
        """See the protocol."""
        ready = self._ready(np.flatnonzero(self._waiting))
        quota = max(1, len(ready) // ROUNDS)
        while len(ready):
            granted = 0
            for request in self._by_cost(ready):
                chosen = self._requests.chosen(self._table, request)
                if chosen is None:
                    continue
                self._requests.take(self._table, chosen)
                self.drop(request)
                yield request, chosen
                granted += 1
                if granted == quota:
                    break
            ready = self._ready(ready)

    def _ready(self, which: Integers) -> Integers:
        waiting = which[self._waiting[which]]
        return waiting[self._requests.ready(self._table, waiting)]

    def _by_cost(self, ready: Integers) -> list[int]:
        """The requests, the cheapest first, then by arrival."""
        edges = self._requests.edges_of(ready)
        costs = self._costs(edges)
        counts = self._requests.first[ready + 1] - self._requests.first[ready]
        begin = np.concatenate(([0], np.cumsum(counts)[:-1]))
        total = np.add.reduceat(costs, begin)
        some = np.flatnonzero(counts > self._requests.needed[ready])
        for place in some:  # who needs some of its blocks only counts the cheapest
            own = costs[begin[place] : begin[place] + counts[place]]
            total[place] = np.sort(own)[: self._requests.needed[ready[place]]].sum()
        found: list[int] = ready[np.lexsort((ready, total))].tolist()
        return found

    def _costs(self, edges: Integers) -> Floats:
        """What each edge takes of what is left on its block, at the block's best order `[n]`."""
        pairs, where, times = np.unique(
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
        renyi = self._table.required == 1
        for row in np.unique(rows[renyi[rows]]):
            own = rows == row
            order = _best_order(demands[own], times[own], self._table.ceiling[row])
            cost[own] = parts[own, order]
        return np.asarray(cost[where])


def _best_order(demands: Floats, times: Integers, left: Floats) -> int:
    """The column at which most demands fit, the smallest first.

    Args:
        demands: the different demands on one block `[n, K]`.
        times: how many requests ask for each `[n]`.
        left: what is left `[K]`.
    """
    by_size = np.argsort(demands, axis=0)
    sizes = np.take_along_axis(demands, by_size, axis=0)
    many = times[by_size]
    before = np.cumsum(sizes * many, axis=0) - sizes * many
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.where(sizes > 0, np.floor((left - before) / sizes), many)
    return int(np.argmax(np.nan_to_num(np.clip(fit, 0, many)).sum(axis=0)))
