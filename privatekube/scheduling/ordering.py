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
