"""First come, first served: whoever waits longest and fits."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube.scheduling.budget_table import Integers, Table
from privatekube.scheduling.queue import Chosen, Key, Line
from privatekube.scheduling.request_table import Requests


class Arrival:
    """A request's position in order of arrival."""

    def __call__(self, requests: Requests, edges: Chosen) -> Key:
        """See `line.Keys`."""
        return int(requests.request[edges][0])

    def best(self, requests: Requests, which: Integers) -> Sequence[Key]:  # noqa: ARG002 - of the protocol
        """See `line.Keys`."""
        return [int(position) for position in which]


def fcfs(table: Table, requests: Requests) -> Line:
    """A line in order of arrival."""
    return Line(table, requests, Arrival())
