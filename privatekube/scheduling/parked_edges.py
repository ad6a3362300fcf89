"""The edges that wait on one block until more becomes available there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np

from privatekube.scheduling.budget_table import Booleans, Integers

SortKey = Any
"""What requests are compared by, their position in order of arrival included; the smallest is granted first."""


class ParkedEdges:
    """The edges that are parked on one block, in the order of their requests' keys.

    Attributes:
        limit: the number of edges above which those of requests that no longer wait are removed.
    """

    def __init__(self) -> None:
        self.keys: list[SortKey] = []
        self.edges: Integers = np.empty(8, dtype=np.int64)
        self.limit = 64

    def position_after(self, key: SortKey) -> int:
        """Return the position of the first edge with a larger key."""
        return bisect_right(self.keys, key)

    def insert(self, key: SortKey, edge: int) -> None:
        """Insert an edge at the position of its key."""
        position, size = bisect_left(self.keys, key), len(self.keys)
        if size == len(self.edges):
            self.edges = np.concatenate((self.edges, np.empty_like(self.edges)))
        self.edges[position + 1 : size + 1] = self.edges[position:size]
        self.edges[position] = edge
        self.keys.insert(position, key)

    def pop(self, position: int) -> tuple[int, SortKey]:
        """Remove the edge at that position, and return it with its key."""
        edge = self.edges.item(position)
        self.edges[position : len(self.keys) - 1] = self.edges[position + 1 : len(self.keys)]
        return edge, self.keys.pop(position)

    def retain(self, is_waiting: Booleans) -> None:
        """Keep only these edges."""
        positions = is_waiting.nonzero()[0]
        self.keys = [self.keys[position] for position in positions]
        self.edges = np.resize(self.edges[positions], max(8, len(positions)))
        self.limit = 2 * len(positions) + 64
