"""Requests as arrays: the candidate blocks of each request, its demand on each, and how many of them it needs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from privatekube.scheduling.budget_table import Booleans, BudgetTable, Floats, Integers

Edges = Integers | slice
"""Positions of edges of one request."""


@dataclass(frozen=True, slots=True)
class LimitTable:
    """What some requests may together get of each block, beside its budget.

    Args:
        blocks: the rows of the blocks, with what is allowed and left of it there; grants are subtracted from it.
        is_limited: whether the limit is on each request `[R]`.
    """

    blocks: BudgetTable
    is_limited: Booleans


@dataclass(frozen=True, slots=True)
class RequestTable:
    """Requests in order of arrival; an *edge* is the demand of one request on one of its candidate blocks.

    Args:
        first: where the edges of each request begin, and the number of edges at the end `[R + 1]`.
        needed: how many of its candidates each request needs `[R]`.
        block: the row of each edge's block `[E]`.
        curve: the row of each edge's demand in `demands` `[E]`.
        demands: the distinct demands `[D, K]`.
        share: the dominant share of each edge's demand `[E]`.
        request: the request of each edge `[E]`.
        has_choice: whether a request has more candidates than it needs `[R]`.
        turn: the place of each request among equals: the earliest deadline first, then the first to arrive `[R]`.
        weight: of the team of each request `[R]`; None if all are 1.
        limits: what some of the requests may together get.
    """

    first: Integers
    needed: Integers
    block: Integers
    curve: Integers
    demands: Floats
    share: Floats
    request: Integers = field(repr=False)
    has_choice: Booleans
    turn: Integers
    weight: Floats | None = None
    limits: tuple[LimitTable, ...] = ()

    @classmethod
    def from_edges(
        cls,
        table: BudgetTable,
        *,
        counts: Integers,
        needed: Integers,
        block: Integers,
        curve: Integers,
        demands: Floats,
        weight: Floats | None = None,
        deadline: Floats | None = None,
    ) -> RequestTable:
        """Sort the edges of each request by share, the smallest first; edges of equal share keep their order.

        Args:
            table: the blocks.
            counts: the number of edges of each request, at least one; they follow those of the previous request.
            needed: see the class.
            block: see the class.
            curve: see the class.
            demands: see the class.
            weight: see the class.
            deadline: of the claim of each request, infinite if it has none `[R]`; None if none has one.
        """
        request = np.repeat(np.arange(len(counts)), counts)
        share = _shares(table, block, curve, demands)
        order = np.lexsort((share, request))
        first = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        weighed = weight if weight is not None and (weight != 1).any() else None
        ordered = (block[order], curve[order], demands, share[order], request)
        return cls(first, needed, *ordered, needed < counts, _turns(deadline, len(counts)), weighed)

    def weighted_share(self, edges: Edges) -> Floats:
        """Return the dominant share of each edge's demand, divided by the weight of its team `[n]`."""
        share = self.share[edges]
        return share if self.weight is None else share / self.weight[self.request[edges]]

    def __len__(self) -> int:
        return len(self.needed)

    def edges(self, request: int) -> slice:
        """Return the edges of one request."""
        return slice(self.first.item(request), self.first.item(request + 1))

    def edges_of(self, requests: Integers) -> Integers:
        """Return the edges of several requests, one request after another."""
        return _ranges(self.first[requests], self.edge_counts(requests))

    def smallest_edges_of(self, requests: Integers) -> Integers:
        """Return, of each request, as many edges as it needs: those of smallest share."""
        return _ranges(self.first[requests], self.needed[requests])

    def edge_counts(self, requests: Integers) -> Integers:
        """Return how many edges each of the requests has."""
        return self.first[requests + 1] - self.first[requests]

    def fits(self, table: BudgetTable, edges: Edges) -> Booleans:
        """Return whether the demand of each edge fits its block `[n]`, and each limit of its request."""
        rows, demands = self.block[edges], self.demands[self.curve[edges]]
        fitting = table.fits(rows, demands)
        for limit in self.limits:
            fitting &= limit.blocks.fits(rows, demands) | ~limit.is_limited[self.request[edges]]
        return fitting

    def are_grantable(self, requests: Integers, fits: Booleans) -> Booleans:
        """Return whether each of the requests fits as many of its candidates as it needs.

        Args:
            requests: the requests, at least one.
            fits: whether each of their edges fits, in the order of `edges_of`.
        """
        fitting = np.add.reduceat(fits, starts(self.edge_counts(requests)), dtype=np.int64)
        return np.asarray(fitting >= self.needed[requests])

    def grantable(self, table: BudgetTable, requests: Integers) -> Booleans:
        """Return whether each of the requests could be granted now if it were the only one."""
        if not len(requests):
            return np.zeros(0, dtype=np.bool_)
        return self.are_grantable(requests, self.fits(table, self.edges_of(requests)))

    def grantable_edges(self, table: BudgetTable, request: int) -> Edges | None:
        """Return the edges that a request would get now, those of smallest share that fit; None if too few fit."""
        edges = self.edges(request)
        fits = self.fits(table, edges)
        needed, fitting = self.needed[request], np.count_nonzero(fits)
        if fitting < needed:
            return None
        return edges if needed == len(fits) else edges.start + fits.nonzero()[0][:needed]

    def fit_together(self, table: BudgetTable, requests: Integers) -> bool:
        """Return whether several requests certainly fit one after another, each on all of its candidates."""
        if self.limits and len(requests):
            return False
        edges = self.edges_of(requests)
        return table.leaves_enough(self.block[edges], self.demands[self.curve[edges]])

    def subtract(self, table: BudgetTable, edges: Edges) -> None:
        """Subtract the demands of one granted request from the table."""
        table.subtract(self.block[edges], self.demands[self.curve[edges]])
        for limit in self.limits:
            if limit.is_limited[self.request[edges]].all():  # they are of one request
                limit.blocks.subtract(self.block[edges], self.demands[self.curve[edges]])

    def subtract_together(self, table: BudgetTable, requests: Integers) -> None:
        """Subtract the demands of several granted requests, each on all of its candidates, one after another."""
        edges = self.edges_of(requests)
        table.subtract_in_order(self.block[edges], self.demands[self.curve[edges]])


def starts(counts: Integers) -> Integers:
    """Return where each of several consecutive runs begins, given their lengths."""
    return np.concatenate(([0], np.cumsum(counts)[:-1]))


def _turns(deadline: Floats | None, count: int) -> Integers:
    turns = np.arange(count)
    if deadline is not None:
        turns[np.argsort(deadline, kind="stable")] = np.arange(count)
    return turns


def _ranges(begins: Integers, counts: Integers) -> Integers:
    """Return the integers `begin, ..., begin + count - 1` of each range, one range after another."""
    if len(begins) == 1:
        return np.arange(begins[0], begins[0] + counts[0])
    before = np.cumsum(counts) - counts
    return np.asarray(np.repeat(begins - before, counts) + np.arange(counts.sum()))


def _shares(table: BudgetTable, block: Integers, curve: Integers, demands: Floats) -> Floats:
    """Return the shares of all edges, computed once for each distinct pair of a block and a demand."""
    pairs, positions = np.unique(block * len(demands) + curve, return_inverse=True)
    rows, curves = np.divmod(pairs, max(len(demands), 1))
    return np.asarray(table.shares(rows, demands[curves])[positions])
