"""Dominant private block fairness (DPF): the smallest dominant share first, then the next-largest share, then arrival.

Among requests of equal shares, the one with the earliest deadline goes first, if claims have deadlines: how ties are
broken matters to none of the properties that are proved of DPF.

Where data owners have given teams weights, a share is divided by the weight of its team, as in weighted DRF (Ghodsi et
al., "Dominant Resource Fairness", NSDI'11, section 4.3). Without weights, nothing changes.

Source: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from privatekube.scheduling.budget_table import BudgetTable, Floats, Integers
from privatekube.scheduling.parked_edges import SortKey
from privatekube.scheduling.request_table import Edges, RequestTable
from privatekube.scheduling.sorted_queue import SortedQueue

_COMPARABLE = np.dtype(">f8")  # big-endian bytes of non-negative floats compare as the floats do


class ShareKeys:
    """`sorted_queue.SortKeys` by the shares on the blocks that a request gets, the largest first, then by `turn`."""

    def key(self, requests: RequestTable, edges: Edges) -> SortKey:
        """Return the key of a request that gets these edges."""
        shares = self._shares(requests, edges)[::-1]
        return shares.astype(_COMPARABLE).tobytes(), requests.turn.item(requests.request[edges][0])

    def smallest_keys(self, requests: RequestTable, positions: Integers) -> Sequence[SortKey]:
        """Return the key of each request on its blocks of smallest share."""
        edges = requests.smallest_edges_of(positions)
        ends = np.cumsum(requests.needed[positions])
        text, total, size = (
            self._shares(requests, edges)[::-1].astype(_COMPARABLE).tobytes(),
            len(edges),
            _COMPARABLE.itemsize,
        )
        begins = [0, *ends.tolist()]
        return [
            (text[(total - end) * size : (total - begin) * size], turn)
            for begin, end, turn in zip(begins, begins[1:], requests.turn[positions].tolist(), strict=False)
        ]

    @staticmethod
    def _shares(requests: RequestTable, edges: Edges) -> Floats:
        return requests.share[edges]


class WeightedShareKeys(ShareKeys):
    """Likewise, with each share divided by the weight of its team."""

    @staticmethod
    @override
    def _shares(requests: RequestTable, edges: Edges) -> Floats:
        return requests.weighted_share(edges)


def dpf(table: BudgetTable, requests: RequestTable) -> SortedQueue:
    """Return a queue in order of shares."""
    return SortedQueue(table, requests, WeightedShareKeys())
