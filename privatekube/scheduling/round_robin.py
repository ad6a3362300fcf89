"""Round robin: what is unlocked on a block is shared equally among those who wait there.

A request is granted once its demand is no more than an equal share on as many of its blocks as it needs; the smallest
goes first, and leaves larger shares to the others. Nothing is handed out in part: a share that is too small stays
available, so what a request that gives up had waited for is everybody's again.

Source of the policy: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 6.1, there with shares in part.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

import numpy as np

from privatekube.scheduling.budget_table import Booleans, Integers, Table
from privatekube.scheduling.dpf import Shares
from privatekube.scheduling.queue import Chosen, Key
from privatekube.scheduling.request_table import Requests


class Sharing:
    """Requests that wait for an equal share; see the protocol `ordering.Waiting`."""

    def __init__(self, table: Table, requests: Requests) -> None:
        self._table, self._requests = table, requests
        self._key: dict[int, Key] = {}
        self._line: list[tuple[Key, int]] = []
        self._sharers = np.zeros(len(table.required), dtype=np.int64)

    def submit(self, which: Iterable[int]) -> None:
        """See the protocol."""
        new = np.array(list(which), dtype=np.int64)
        for request, key in zip(new.tolist(), Shares().best(self._requests, new), strict=True):
            self._key[request] = key
            insort(self._line, (key, request))
        np.add.at(self._sharers, self._requests.block[self._requests.edges_of(new)], 1)

    def drop(self, request: int) -> None:
        """See the protocol."""
        key = self._key.pop(request, None)
        if key is not None:
            del self._line[bisect_left(self._line, (key, request))]
            self._sharers[self._requests.block[self._requests.edges(request)]] -= 1

    def decide(self, touched: Iterable[int]) -> Iterator[tuple[int, Chosen]]:  # noqa: ARG002 - shares change anyway
        """See the protocol."""
        moved = True
        while moved and self._line:
            moved = False
            for request in self._with_enough():
                chosen = self._chosen(request)
                if chosen is not None:
                    self._requests.take(self._table, chosen)
                    self.drop(request)
                    moved = True
                    yield request, chosen

    def _with_enough(self) -> list[int]:
        """Those whose equal share is enough, the smallest demand first."""
        waiting = np.fromiter((request for _, request in self._line), dtype=np.int64, count=len(self._line))
        counts = self._requests.first[waiting + 1] - self._requests.first[waiting]
        begin = np.concatenate(([0], np.cumsum(counts)[:-1]))
        fits = self._fits_share(self._requests.edges_of(waiting))
        enough = np.add.reduceat(fits, begin, dtype=np.int64)
        found: list[int] = waiting[enough >= self._requests.needed[waiting]].tolist()
        return found

    def _chosen(self, request: int) -> Integers | None:
        edges = np.arange(self._requests.first[request], self._requests.first[request + 1])
        fitting = edges[self._fits_share(edges)]
        needed = self._requests.needed[request]
        return fitting[:needed] if len(fitting) >= needed else None

    def _fits_share(self, edges: Integers) -> Booleans:
        """Whether as many demands as there are sharers would fit, on each edge's block."""
        rows = self._requests.block[edges]
        demands = self._requests.demands[self._requests.curve[edges]]
        return self._table.fits(rows, demands * self._sharers[rows][:, None])
