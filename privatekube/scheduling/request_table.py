"""Requests as arrays: which blocks each is about, what it asks there, how many of them it needs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from privatekube.scheduling.budget_table import Booleans, Floats, Integers, Table


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in order of arrival; an *edge* is one request's demand on one of its candidate blocks.

    Args:
        first: where each request's edges begin, and the number of edges at the end `[R + 1]`.
        needed: how many of its candidates each request needs `[R]`.
        block: the row of each edge's block `[E]`.
        curve: the row of each edge's demand in `demands` `[E]`.
        demands: the different demands `[D, K]`.
        share: the largest fraction of the block's capacity that each edge's demand is `[E]`.
        request: the request of each edge `[E]`.
        has_choice: whether a request has more candidates than it needs `[R]`.
    """

    first: Integers
    needed: Integers
    block: Integers
    curve: Integers
    demands: Floats
    share: Floats
    request: Integers = field(repr=False)
    has_choice: Booleans

    @classmethod
    def of(
        cls, table: Table, *, counts: Integers, needed: Integers, block: Integers, curve: Integers, demands: Floats
    ) -> Requests:
        """Sort each request's edges by share, the smallest first; blocks of equal share stay in the order given.

        Args:
            table: the blocks.
            counts: how many edges each request has, at least one; they follow those of the request before.
            needed: see the class.
            block: see the class.
            curve: see the class.
            demands: see the class.
        """
        request = np.repeat(np.arange(len(counts)), counts)
        share = _shares(table, block, curve, demands)
        order = np.lexsort((share, request))
        first = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return cls(first, needed, block[order], curve[order], demands, share[order], request, needed < counts)

    def __len__(self) -> int:
        return len(self.needed)

    def edges(self, request: int) -> slice:
        """The edges of one request."""
        return slice(self.first.item(request), self.first.item(request + 1))

    def edges_of(self, requests: Integers) -> Integers:
        """The edges of several requests, one after another."""
        return _runs(self.first[requests], self.first[requests + 1] - self.first[requests])

    def smallest_of(self, requests: Integers) -> Integers:
        """The same, but of each request only as many as it needs, those of smallest share."""
        return _runs(self.first[requests], self.needed[requests])

    def fits(self, table: Table, edges: Integers | slice) -> Booleans:
        """Whether each edge's demand fits on its block `[n]`."""
        return table.fits(self.block[edges], self.demands[self.curve[edges]])

    def ready(self, table: Table, requests: Integers) -> Booleans:
        """Whether each of the requests fits on as many of its candidates as it needs."""
        if not len(requests):
            return np.zeros(0, dtype=np.bool_)
        fits = self.fits(table, self.edges_of(requests))
        counts = self.first[requests + 1] - self.first[requests]
        fitting = np.add.reduceat(fits, np.concatenate(([0], np.cumsum(counts)[:-1])), dtype=np.int64)
        return np.asarray(fitting >= self.needed[requests])

    def chosen(self, table: Table, request: int) -> Integers | slice | None:
        """The edges a request would get now: those of smallest share among which it fits; None if too few."""
        edges = self.edges(request)
        fits = self.fits(table, edges)
        needed, fitting = self.needed[request], np.count_nonzero(fits)
        if fitting < needed:
            return None
        return edges if needed == len(fits) else edges.start + fits.nonzero()[0][:needed]

    def fit_together(self, table: Table, which: Integers) -> bool:
        """Whether several requests, each on all of its blocks, surely fit one after another; True for none."""
        edges = self.edges_of(which)
        return table.leaves_enough(self.block[edges], self.demands[self.curve[edges]])

    def take(self, table: Table, edges: Integers | slice) -> None:
        """Subtract the demands of a granted request."""
        table.take(self.block[edges], self.demands[self.curve[edges]])

    def take_together(self, table: Table, which: Integers) -> None:
        """Subtract the demands of granted requests, each on all of its blocks, one after another."""
        edges = self.edges_of(which)
        table.take_in_turn(self.block[edges], self.demands[self.curve[edges]])


def _runs(begins: Integers, counts: Integers) -> Integers:
    """The numbers from each of the begins on, so many of them, one run after another."""
    if len(begins) == 1:
        return np.arange(begins[0], begins[0] + counts[0])
    before = np.cumsum(counts) - counts
    return np.asarray(np.repeat(begins - before, counts) + np.arange(counts.sum()))


def _shares(table: Table, block: Integers, curve: Integers, demands: Floats) -> Floats:
    """Shares of all edges; each pair of a block and a demand is worked out once."""
    pairs, where = np.unique(block * len(demands) + curve, return_inverse=True)
    rows, curves = np.divmod(pairs, max(len(demands), 1))
    return np.asarray(table.shares(rows, demands[curves])[where])
