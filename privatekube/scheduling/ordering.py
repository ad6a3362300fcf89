"""Ordering policies: which of the requests that fit is granted first. Each is one module and one entry below."""

from __future__ import annotations

from collections.abc import Callable

from privatekube import errors
from privatekube.scheduling.budget_table import BudgetTable
from privatekube.scheduling.dpack import PackingQueue
from privatekube.scheduling.dpf import dpf
from privatekube.scheduling.fcfs import fcfs
from privatekube.scheduling.queue import RequestQueue
from privatekube.scheduling.request_table import RequestTable
from privatekube.scheduling.round_robin import EqualShareQueue
from privatekube.scheduling.unlocking import All, UnlockingPolicy

OrderingPolicy = Callable[[BudgetTable, RequestTable], RequestQueue]

ORDERINGS: dict[str, OrderingPolicy] = {"fcfs": fcfs, "rr": EqualShareQueue, "dpf": dpf, "dpack": PackingQueue}


def parse(name: str) -> OrderingPolicy:
    """Return the ordering of that name.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in ORDERINGS:
        raise errors.invalid("order", name, "is unknown", f"use one of {', '.join(ORDERINGS)}")
    return ORDERINGS[name]


def require_sensible(unlocking: UnlockingPolicy, ordering: OrderingPolicy) -> None:
    """Refuse a combination of policies that does not do what each of them promises.

    Raises:
        InvalidInput: the combination cannot be used; the message says what to use.
    """
    if isinstance(unlocking, All) and ordering is ORDERINGS["rr"]:
        raise errors.InvalidInput(
            "order: 'rr' with unlock 'all' cannot be combined: the first request would not share and could take "
            "everything, and two requests for over half of a block would block each other; use unlock n=<N> or "
            "t=<period>,<duration>, or another order"
        )
