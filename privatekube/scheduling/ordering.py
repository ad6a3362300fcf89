"""Ordering policies: among the requests that fit, which is granted first.

A request's key is compared; the smallest goes first. Source of DPF: Luo et al. (OSDI'21), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from privatekube import errors
from privatekube.scheduling.snapshot import WaitingRequest

Key = tuple[object, ...]
OrderingPolicy = Callable[[WaitingRequest, int, Sequence[float]], Key]
"""From a request, its position in order of arrival and its shares, the largest first, to a key."""


def fcfs(request: WaitingRequest, position: int, shares: Sequence[float]) -> Key:  # noqa: ARG001 - of the protocol
    """First come, first served."""
    return (request.arrival_ms, position, request.id)


def dpf(request: WaitingRequest, position: int, shares: Sequence[float]) -> Key:
    """Dominant privacy-block fairness: the smallest dominant share, then the next-largest, then arrival."""
    return (tuple(shares), request.arrival_ms, position, request.id)


ORDERINGS: dict[str, OrderingPolicy] = {"fcfs": fcfs, "dpf": dpf}


def parse(name: str) -> OrderingPolicy:
    """The ordering of that name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in ORDERINGS:
        raise errors.invalid("order", name, "is unknown", f"use one of {', '.join(ORDERINGS)}")
    return ORDERINGS[name]
