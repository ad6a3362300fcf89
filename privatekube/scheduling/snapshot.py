"""What a scheduling decision sees, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import FlowReleasing
from privatekube.resources.request_id import RequestId


@dataclass(frozen=True, slots=True)
class Schedule:
    """What says when time unlocks a block; unix milliseconds."""

    created_ms: int
    last_release_ms: int | None = None
    flow: FlowReleasing | None = None


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as the scheduler sees it."""

    id: str
    capacity: PrivacyBudget
    pending: PrivacyBudget
    available: PrivacyBudget
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request for budget that waits.

    Args:
        id: names the request in the decisions.
        demand: what it asks of each of its candidate blocks.
        n_blocks: how many of the candidates it needs; None for all.
        arrival_ms: unix milliseconds.
        priority: for policies that say so.
    """

    id: RequestId
    demand: Mapping[str, PrivacyBudget]
    n_blocks: int | None
    arrival_ms: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision depends on; `waiting` in order of arrival."""

    now_ms: int
    blocks: Mapping[str, BlockView]
    waiting: tuple[WaitingRequest, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A request gets its whole demand on these blocks."""

    request_id: RequestId
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: first unlock, by block id, then grant, in this order."""

    unlocks: Mapping[str, PrivacyBudget]
    grants: tuple[Grant, ...]
