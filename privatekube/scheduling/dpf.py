"""Dominant privacy-block fairness: the smallest dominant share first, then the next-largest share, then arrival.

Source: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privatekube.scheduling.budget_table import Integers, Table
from privatekube.scheduling.queue import Chosen, Key, Line
from privatekube.scheduling.request_table import Requests

_COMPARABLE = np.dtype(">f8")  # the bytes of numbers that are not negative compare as the numbers do


class Shares:
    """A request's shares on the blocks it gets, the largest first, and its position in order of arrival."""

    def __call__(self, requests: Requests, edges: Chosen) -> Key:
        """See `line.Keys`."""
        shares = requests.share[edges][::-1]
        return shares.astype(_COMPARABLE).tobytes(), int(requests.request[edges][0])

    def best(self, requests: Requests, which: Integers) -> Sequence[Key]:
        """See `line.Keys`: the shares on as many of its blocks as it needs, the smallest ones."""
        edges = requests.smallest_of(which)
        ends = np.cumsum(requests.needed[which])
        text, total, size = requests.share[edges][::-1].astype(_COMPARABLE).tobytes(), len(edges), _COMPARABLE.itemsize
        begins = [0, *ends.tolist()]
        return [
            (text[(total - end) * size : (total - begin) * size], position)
            for begin, end, position in zip(begins, begins[1:], which.tolist(), strict=False)
        ]


def dpf(table: Table, requests: Requests) -> Line:
    """A line in order of shares."""
    return Line(table, requests, Shares())
