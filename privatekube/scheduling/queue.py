"""A line of requests in a fixed order: who fits goes first, and who does not is looked at again only where it matters.

A request that does not fit is parked on the blocks that hold it up: on as many as must change before it can fit. When
more becomes available on a block, only those parked there are tried, in their order. Within one decision what is
available only falls, so nobody is tried twice, unless the blocks it would get have changed.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from privatekube.scheduling.budget_table import Booleans, Integers, Table
from privatekube.scheduling.request_table import Requests

Key = Any
"""What requests are compared by, their position in order of arrival included; the smallest goes first."""

Chosen = Integers | slice
"""Edges of one request: the blocks that it gets."""

_AT_ONCE = 512
_NEW, _AGAIN = -1, -2


class Keys(Protocol):
    """How an ordering compares requests."""

    def __call__(self, requests: Requests, edges: Chosen) -> Key:
        """The key of one request that gets these edges."""

    def best(self, requests: Requests, which: Integers) -> Sequence[Key]:
        """The smallest key that each of the requests can have, whatever blocks it gets."""


class Line:
    """Requests that wait, in the order of their keys.

    Args:
        table: the blocks; grants are subtracted there.
        requests: all requests that may ever wait.
        keys: how they are compared.
    """

    def __init__(self, table: Table, requests: Requests, keys: Keys) -> None:
        self._table, self._requests, self._keys = table, requests, keys
        self._waiting = np.zeros(len(requests), dtype=np.bool_)
        self._is_parked = np.zeros(len(requests.block), dtype=np.bool_)
        self._parked = [_Parked() for _ in range(len(table.required))]
        self._key: dict[int, Key] = {}
        self._new: list[int] = []
        self._left: list[int] = []

    def submit(self, which: Iterable[int]) -> None:
        """Let these requests wait, from the next decision on."""
        self._new += which
        self._waiting[self._new] = True

    def drop(self, request: int) -> None:
        """Forget a request."""
        self._waiting[request] = False
        self._key.pop(request, None)

    def decide(self, touched: Iterable[int]) -> Iterator[tuple[int, Chosen]]:
        """Grant, one after another, until nothing fits.

        Args:
            touched: the blocks on which more is available than when the last decision ended.
        """
        self._park_those_left()
        rows = list(touched)
        if not (rows or self._new):
            return
        newcomers = self._newcomers()
        if not any(self._parked[row].keys for row in rows) and not self._requests.has_choice[newcomers].any():
            yield from self._sweep(newcomers)
            return
        new = iter(newcomers.tolist())
        heap: list[tuple[Key, int, int]] = []
        for source in (_NEW, *rows):
            self._advance(heap, source, new, None)
        while heap:
            key, source, request = heapq.heappop(heap)
            chosen = self._requests.chosen(self._table, request) if self._waiting[request] else None
            if chosen is not None:
                actual = key if isinstance(chosen, slice) else self._keys(self._requests, chosen)
                if actual > key:
                    heapq.heappush(heap, (actual, _AGAIN, request))
                else:
                    self._requests.take(self._table, chosen)
                    self.drop(request)
                    yield request, chosen
            elif self._waiting[request]:
                self._left.append(request)
            self._advance(heap, source, new, key)

    def _newcomers(self) -> Integers:
        """The new requests that fit by themselves, in the order of their best keys."""
        new = np.array([request for request in self._new if self._waiting[request]], dtype=np.int64)
        self._new = []
        keys = self._keys.best(self._requests, new)
        self._key.update(zip(new.tolist(), keys, strict=True))
        in_order = new[sorted(range(len(new)), key=keys.__getitem__)]
        return self._ready(in_order) if len(new) > 1 else new

    def _ready(self, which: Integers) -> Integers:
        """Those that fit by themselves; the others are left for the next decision."""
        ready = self._requests.ready(self._table, which)
        self._left += which[~ready].tolist()
        return which[ready]

    def _sweep(self, newcomers: Integers) -> Iterator[tuple[int, Chosen]]:
        """Grant requests that have no choice of blocks in their order: as many together as surely fit."""
        ahead = [newcomers]
        while ahead:
            which = ahead.pop()
            if len(which) > _AT_ONCE:
                ahead += reversed(np.split(which, range(_AT_ONCE, len(which), _AT_ONCE)))
                continue
            if len(which) == 1:
                yield from self._alone(int(which[0]))
                continue
            which = self._ready(which)
            if self._requests.fit_together(self._table, which):
                self._requests.take_together(self._table, which)
                for request in which.tolist():
                    self.drop(request)
                    yield request, self._requests.edges(request)
            else:
                ahead += [which[len(which) // 2 :], which[: len(which) // 2]]

    def _alone(self, request: int) -> Iterator[tuple[int, Chosen]]:
        chosen = self._requests.chosen(self._table, request)
        if chosen is None:
            self._left.append(request)
        else:
            self._requests.take(self._table, chosen)
            self.drop(request)
            yield request, chosen

    def _advance(
        self, heap: list[tuple[Key, int, int]], source: int, newcomers: Iterator[int], after: Key | None
    ) -> None:
        """Put the next of one source, newcomers or those parked on a block, among the candidates."""
        if source == _NEW:
            request = next(newcomers, None)
            found = None if request is None else (self._key[request], request)
        else:
            found = None if source == _AGAIN else self._next_parked(source, after)
        if found is not None:
            heapq.heappush(heap, (found[0], source, found[1]))

    def _next_parked(self, row: int, after: Key | None) -> tuple[Key, int] | None:
        """The first of those parked on a block that fits there now, and leaves it, with its key."""
        parked = self._parked[row]
        place = 0 if after is None else bisect_right(parked.keys, after)
        while place < len(parked.keys):
            edges = parked.edges[place : min(place + _AT_ONCE, len(parked.keys))]
            hits = self._table.fits(row, self._requests.demands[self._requests.curve[edges]]).nonzero()[0]
            if not len(hits):
                place += _AT_ONCE
                continue
            place += int(hits[0])
            edge, key = parked.remove(place)
            self._is_parked[edge] = False
            request = self._requests.request.item(edge)
            if self._waiting[request]:
                return key, request
        return None

    def _park_those_left(self) -> None:
        """Park those that the last decision tried in vain on the blocks that hold them up; who fits by now is new."""
        left, self._left = self._left, []
        for request in dict.fromkeys(left):
            if self._waiting[request] and not self._park(request):
                self._new.append(request)

    def _park(self, request: int) -> bool:
        """Park a request on so many blocks that it cannot fit before one of them changes; False if it fits now."""
        edges = self._requests.edges(request)
        holding = (~self._requests.fits(self._table, edges)).nonzero()[0]
        spare = edges.stop - edges.start - int(self._requests.needed[request])
        if len(holding) <= spare:
            return False
        for edge in (edges.start + holding[: spare + 1]).tolist():
            if not self._is_parked[edge]:
                self._is_parked[edge] = True
                parked = self._parked[self._requests.block.item(edge)]
                parked.insert(self._key[request], edge)
                if len(parked.keys) > parked.crowded:
                    parked.keep(self._waiting[self._requests.request[parked.edges[: len(parked.keys)]]])
        return True


class _Parked:
    """The edges that are parked on one block, in the order of their requests' keys."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.edges: Integers = np.empty(8, dtype=np.int64)
        self.crowded = 64

    def insert(self, key: Key, edge: int) -> None:
        """Add an edge in its place."""
        place, size = bisect_left(self.keys, key), len(self.keys)
        if size == len(self.edges):
            self.edges = np.concatenate((self.edges, np.empty_like(self.edges)))
        self.edges[place + 1 : size + 1] = self.edges[place:size]
        self.edges[place] = edge
        self.keys.insert(place, key)

    def remove(self, place: int) -> tuple[int, Key]:
        """Take out the edge at that place, and its key."""
        edge = self.edges.item(place)
        self.edges[place : len(self.keys) - 1] = self.edges[place + 1 : len(self.keys)]
        return edge, self.keys.pop(place)

    def keep(self, wanted: Booleans) -> None:
        """Forget all others: they do not wait any more."""
        kept = wanted.nonzero()[0]
        self.keys = [self.keys[place] for place in kept]
        self.edges = np.resize(self.edges[kept], max(8, len(kept)))
        self.crowded = 2 * len(kept) + 64
