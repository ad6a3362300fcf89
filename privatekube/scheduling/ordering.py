"""Ordering policies: among the requests that fit, which is granted first. One file and one entry each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from privatekube import errors
from privatekube.scheduling.budget_table import Table
from privatekube.scheduling.dpack import Packing
from privatekube.scheduling.dpf import dpf
from privatekube.scheduling.fcfs import fcfs
from privatekube.scheduling.queue import Chosen
from privatekube.scheduling.request_table import Requests
from privatekube.scheduling.round_robin import Sharing
from privatekube.scheduling.unlocking import All, UnlockingPolicy


class Waiting(Protocol):
    """Requests that wait, and who of them is granted next."""

    def submit(self, which: Iterable[int]) -> None:
        """Let these requests wait, from the next decision on."""

    def drop(self, request: int) -> None:
        """Forget a request: it was granted, or gave up."""

    def decide(self, touched: Iterable[int]) -> Iterator[tuple[int, Chosen]]:
        """Grant, one after another, until nothing more can be: each request with the edges of the blocks it gets.

        Args:
            touched: the rows of the blocks on which more is available than when the last decision ended.
        """


OrderingPolicy = Callable[[Table, Requests], Waiting]

ORDERINGS: dict[str, OrderingPolicy] = {"fcfs": fcfs, "rr": Sharing, "dpf": dpf, "dpack": Packing}


def parse(name: str) -> OrderingPolicy:
    """The ordering of that name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in ORDERINGS:
        raise errors.invalid("order", name, "is unknown", f"use one of {', '.join(ORDERINGS)}")
    return ORDERINGS[name]


def require_sensible(unlocking: UnlockingPolicy, ordering: OrderingPolicy) -> None:
    """Refuse a combination of policies that does not do what either of them promises.

    Raises:
        InvalidInput: names the combination and what to use.
    """
    if isinstance(unlocking, All) and ordering is ORDERINGS["rr"]:
        raise errors.InvalidInput(
            "order: 'rr' with unlock 'all' makes no sense: who comes first shares with nobody and may take everything, "
            "and two who ask for over half each wait for ever; use n=<N> or t=<period>,<duration>, or another order"
        )
