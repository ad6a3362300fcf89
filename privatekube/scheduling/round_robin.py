"""Round robin: the unlocked budget of a block is shared equally among the requests that wait there.

A request is granted once its demand is at most an equal share on as many of its blocks as it needs. The smallest goes
first, which leaves larger shares to the others. Budget is never granted in part: a share that is too small stays
available, so a request that times out leaves its share to the others.

What could not be granted if all of a block's budget were available has no share: a request that asks more than its
blocks ever had would keep budget from the others until it times out.

Source: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 6.1; there, shares are granted in part.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

import numpy as np

from privatekube.scheduling.budget_table import Booleans, BudgetTable, Integers
from privatekube.scheduling.dpf import ShareKeys
from privatekube.scheduling.parked_edges import SortKey
from privatekube.scheduling.request_table import Edges, RequestTable


class EqualShareQueue:
    """A `queue.RequestQueue` that grants a request once an equal share is enough for it."""

    def __init__(self, table: BudgetTable, requests: RequestTable) -> None:
        self._table, self._requests = table, requests
        self._key: dict[int, SortKey] = {}
        self._queue: list[tuple[SortKey, int]] = []
        self._sharers = np.zeros(len(table.required), dtype=np.int64)
        """How many of the requests that wait could be granted on each block `[B]`."""

    def submit(self, requests: Iterable[int]) -> None:
        """Add requests to the queue, except those that could never be granted."""
        new = self._possible(np.array(list(requests), dtype=np.int64))
        for request, key in zip(new.tolist(), ShareKeys().smallest_keys(self._requests, new), strict=True):
            self._key[request] = key
            insort(self._queue, (key, request))
        np.add.at(self._sharers, self._shared_rows(self._requests.edges_of(new)), 1)

    def drop(self, request: int) -> None:
        """Remove a request that was granted or timed out."""
        key = self._key.pop(request, None)
        if key is not None:
            del self._queue[bisect_left(self._queue, (key, request))]
            self._sharers[self._shared_rows(self._requests.edges(request))] -= 1

    def grant(self, touched: Iterable[int]) -> Iterator[tuple[int, Edges]]:  # noqa: ARG002 - shares change anyway
        """Grant requests until no equal share is enough."""
        has_granted = True
        while has_granted and self._queue:
            has_granted = False
            for request in self._grantable():
                edges = self._grantable_edges(request)
                if edges is not None:
                    self._requests.subtract(self._table, edges)
                    self.drop(request)
                    has_granted = True
                    yield request, edges

    def _possible(self, requests: Integers) -> Integers:
        """Return those of the requests that could be granted if all budget of their blocks were available."""
        if not len(requests):
            return requests
        return requests[self._requests.are_grantable(requests, self._could_fit(self._requests.edges_of(requests)))]

    def _shared_rows(self, edges: Edges) -> Integers:
        """Return the rows of the blocks on which the edges could be granted, which are distinct for one request."""
        return self._requests.block[edges][self._could_fit(edges)]

    def _could_fit(self, edges: Edges) -> Booleans:
        requests = self._requests
        return self._table.could_fit(requests.block[edges], requests.demands[requests.curve[edges]])

    def _grantable(self) -> list[int]:
        """Return the requests for which an equal share is enough, the smallest demand first."""
        waiting = np.fromiter((request for _, request in self._queue), dtype=np.int64, count=len(self._queue))
        fits = self._fits_share(self._requests.edges_of(waiting))
        grantable: list[int] = waiting[self._requests.are_grantable(waiting, fits)].tolist()
        return grantable

    def _grantable_edges(self, request: int) -> Integers | None:
        edges = np.arange(self._requests.first[request], self._requests.first[request + 1])
        fitting = edges[self._fits_share(edges)]
        needed = self._requests.needed[request]
        return fitting[:needed] if len(fitting) >= needed else None

    def _fits_share(self, edges: Integers) -> Booleans:
        """Return whether each edge's demand would fit its block once for every request that shares the block."""
        rows = self._requests.block[edges]
        demands = self._requests.demands[self._requests.curve[edges]]
        return self._table.fits(rows, demands * np.maximum(self._sharers[rows], 1)[:, None])
