"""A queue that grants in a fixed order the requests that fit.

A request that does not fit is parked on the blocks that lack budget for it: on as many as must change before it can
fit. When more becomes available on a block, only the requests parked there are tried again, in order. Within one
decision availability only falls, so each request is tried once, except where the blocks that it would get have changed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from privatekube.scheduling.budget_table import BudgetTable, Integers
from privatekube.scheduling.parked_edges import ParkedEdges, SortKey
from privatekube.scheduling.request_table import Edges, RequestTable

_BATCH = 512
_NEW, _AGAIN = -1, -2


class SortKeys(Protocol):
    """How an ordering compares requests."""

    def key(self, requests: RequestTable, edges: Edges) -> SortKey:
        """Return the key of one request that gets these edges."""

    def smallest_keys(self, requests: RequestTable, positions: Integers) -> Sequence[SortKey]:
        """Return the smallest key that each of the requests at these positions can have on any blocks."""


class SortedQueue:
    """A `RequestQueue` in the order of sort keys.

    Args:
        table: the blocks; grants are subtracted from it.
        requests: all requests that may ever wait.
        keys: how they are compared.
    """

    def __init__(self, table: BudgetTable, requests: RequestTable, keys: SortKeys) -> None:
        self._table, self._requests, self._keys = table, requests, keys
        self._waiting = np.zeros(len(requests), dtype=np.bool_)
        self._is_parked = np.zeros(len(requests.block), dtype=np.bool_)
        self._parked = [ParkedEdges() for _ in range(len(table.required))]
        self._key: dict[int, SortKey] = {}
        self._new: list[int] = []
        self._unfit: list[int] = []

    def submit(self, requests: Iterable[int]) -> None:
        """Add requests, which wait from the next decision on."""
        self._new += requests
        self._waiting[self._new] = True

    def drop(self, request: int) -> None:
        """Remove a request that was granted or timed out."""
        self._waiting[request] = False
        self._key.pop(request, None)

    def grant(self, touched: Iterable[int]) -> Iterator[tuple[int, Edges]]:
        """Grant one request after another until nothing fits; yield each with the edges of the blocks that it gets.

        Args:
            touched: the rows of the blocks on which more is available than when the last decision ended.
        """
        self._park_unfit()
        rows = list(touched)
        if not (rows or self._new):
            return
        newcomers = self._sorted_newcomers()
        if not any(self._parked[row].keys for row in rows) and not self._requests.has_choice[newcomers].any():
            yield from self._grant_in_batches(newcomers)
        else:
            yield from self._grant_from_heap(newcomers, rows)

    def _grant_from_heap(self, newcomers: Integers, rows: list[int]) -> Iterator[tuple[int, Edges]]:
        """Merge the newcomers and those parked on each of the blocks, and grant the smallest key that fits."""
        new = iter(newcomers.tolist())
        heap: list[tuple[SortKey, int, int]] = []
        for source in (_NEW, *rows):
            self._push_next(heap, source, new, None)
        while heap:
            key, source, request = heapq.heappop(heap)
            edges = self._requests.grantable_edges(self._table, request) if self._waiting[request] else None
            if edges is not None:
                actual = key if isinstance(edges, slice) else self._keys.key(self._requests, edges)
                if actual > key:
                    heapq.heappush(heap, (actual, _AGAIN, request))
                else:
                    self._requests.subtract(self._table, edges)
                    self.drop(request)
                    yield request, edges
            elif self._waiting[request]:
                self._unfit.append(request)
            self._push_next(heap, source, new, key)

    def _sorted_newcomers(self) -> Integers:
        """Return the new requests that could be granted alone, in the order of their smallest keys."""
        new = np.array([request for request in self._new if self._waiting[request]], dtype=np.int64)
        self._new = []
        keys = self._keys.smallest_keys(self._requests, new)
        self._key.update(zip(new.tolist(), keys, strict=True))
        in_order = new[sorted(range(len(new)), key=keys.__getitem__)]
        return self._grantable(in_order) if len(new) > 1 else new

    def _grantable(self, requests: Integers) -> Integers:
        """Return those that could be granted alone; the next decision parks the others."""
        is_grantable = self._requests.grantable(self._table, requests)
        self._unfit += requests[~is_grantable].tolist()
        return requests[is_grantable]

    def _grant_in_batches(self, newcomers: Integers) -> Iterator[tuple[int, Edges]]:
        """Grant requests without a choice of blocks in order, as many at once as certainly fit together."""
        stack = [newcomers]
        while stack:
            batch = stack.pop()
            if len(batch) > _BATCH:
                stack += reversed(np.split(batch, range(_BATCH, len(batch), _BATCH)))
                continue
            if len(batch) == 1:
                yield from self._grant_one(int(batch[0]))
                continue
            batch = self._grantable(batch)
            if self._requests.fit_together(self._table, batch):
                self._requests.subtract_together(self._table, batch)
                for request in batch.tolist():
                    self.drop(request)
                    yield request, self._requests.edges(request)
            else:
                stack += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]

    def _grant_one(self, request: int) -> Iterator[tuple[int, Edges]]:
        edges = self._requests.grantable_edges(self._table, request)
        if edges is None:
            self._unfit.append(request)
        else:
            self._requests.subtract(self._table, edges)
            self.drop(request)
            yield request, edges

    def _push_next(
        self, heap: list[tuple[SortKey, int, int]], source: int, newcomers: Iterator[int], after: SortKey | None
    ) -> None:
        """Push the next request of one source on the heap: of the newcomers, or of those parked on a block."""
        if source == _NEW:
            request = next(newcomers, None)
            following = None if request is None else (self._key[request], request)
        else:
            following = None if source == _AGAIN else self._next_parked(source, after)
        if following is not None:
            heapq.heappush(heap, (following[0], source, following[1]))

    def _next_parked(self, row: int, after: SortKey | None) -> tuple[SortKey, int] | None:
        """Unpark the first request parked on a block that fits there now; return it with its key."""
        parked = self._parked[row]
        position = 0 if after is None else parked.position_after(after)
        while position < len(parked.keys):
            edges = parked.edges[position : min(position + _BATCH, len(parked.keys))]
            fitting = self._table.fits(row, self._requests.demands[self._requests.curve[edges]]).nonzero()[0]
            if not len(fitting):
                position += _BATCH
                continue
            position += int(fitting[0])
            edge, key = parked.pop(position)
            self._is_parked[edge] = False
            request = self._requests.request.item(edge)
            if self._waiting[request]:
                return key, request
        return None

    def _park_unfit(self) -> None:
        """Park the requests that did not fit in the last decision; a request that fits by now counts as new."""
        unfit, self._unfit = self._unfit, []
        for request in dict.fromkeys(unfit):
            if self._waiting[request] and not self._park(request):
                self._new.append(request)

    def _park(self, request: int) -> bool:
        """Park a request on enough blocks that it cannot fit until one of them changes; return False if it fits."""
        edges = self._requests.edges(request)
        lacking = (~self._requests.fits(self._table, edges)).nonzero()[0]
        spare = edges.stop - edges.start - int(self._requests.needed[request])
        if len(lacking) <= spare:
            return False
        for edge in (edges.start + lacking[: spare + 1]).tolist():
            if not self._is_parked[edge]:
                self._is_parked[edge] = True
                parked = self._parked[self._requests.block.item(edge)]
                parked.insert(self._key[request], edge)
                if len(parked.keys) > parked.limit:
                    parked.retain(self._waiting[self._requests.request[parked.edges[: len(parked.keys)]]])
        return True
