"""First come, first served: the request that has waited longest among those that fit."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube.scheduling.budget_table import BudgetTable, Integers
from privatekube.scheduling.parked_edges import SortKey
from privatekube.scheduling.request_table import Edges, RequestTable
from privatekube.scheduling.sorted_queue import SortedQueue


class ArrivalKeys:
    """`sorted_queue.SortKeys` by the position of a request in order of arrival."""

    def key(self, requests: RequestTable, edges: Edges) -> SortKey:
        """Return the key of a request that gets these edges."""
        return int(requests.request[edges][0])

    def smallest_keys(self, requests: RequestTable, positions: Integers) -> Sequence[SortKey]:  # noqa: ARG002 - part of the protocol
        """Return the position of each request."""
        return [int(position) for position in positions]


def fcfs(table: BudgetTable, requests: RequestTable) -> SortedQueue:
    """Return a queue in order of arrival."""
    return SortedQueue(table, requests, ArrivalKeys())
