"""The interface between a decision and an ordering policy: a queue of waiting requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from privatekube.scheduling.request_table import Edges


class RequestQueue(Protocol):
    """The waiting requests, and which of them is granted next.

    Example::

        queue = policy.ordering(table, requests)
        queue.submit([0, 1, 2])
        for request, edges in queue.grant(touched=[0]):
            ...
    """

    def submit(self, requests: Iterable[int]) -> None:
        """Add requests, which wait from the next decision on."""

    def drop(self, request: int) -> None:
        """Remove a request that was granted or timed out."""

    def grant(self, touched: Iterable[int]) -> Iterator[tuple[int, Edges]]:
        """Grant one request after another until nothing fits; yield each with the edges of the blocks that it gets.

        Args:
            touched: the rows of the blocks on which more is available than when the last decision ended.
        """
