"""The input and the output of a scheduling decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import FlowReleasing
from privatekube.resources.request_id import RequestId


@dataclass(frozen=True, slots=True)
class UnlockSchedule:
    """The times on which unlocking by time depends, in unix milliseconds.

    Args:
        created_ms: when the block was created.
        last_release_ms: when time last unlocked budget; None if it never did.
        flow: the block's own schedule, which precedes the default of the policy.
    """

    created_ms: int
    last_release_ms: int | None = None
    flow: FlowReleasing | None = None


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as the scheduler sees it: its initial budget, and the parts of it that are locked and available."""

    id: str
    capacity: PrivacyBudget
    pending: PrivacyBudget
    available: PrivacyBudget
    schedule: UnlockSchedule


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request that waits for budget.

    Args:
        id: identifies the request in the decisions.
        demand: the demand on each candidate block, by block id.
        n_blocks: how many of the candidates it needs; None for all.
        arrival_ms: when it arrived, in unix milliseconds.
        priority: for policies that use priorities.
    """

    id: RequestId
    demand: Mapping[str, PrivacyBudget]
    n_blocks: int | None
    arrival_ms: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision depends on; `waiting` is in order of arrival."""

    now_ms: int
    blocks: Mapping[str, BlockView]
    waiting: tuple[WaitingRequest, ...]


@dataclass(frozen=True, slots=True)
class GrantDecision:
    """Grant a request its whole demand on these blocks."""

    request_id: RequestId
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What to do: unlock these amounts, by block id, then grant these requests in this order."""

    unlocks: Mapping[str, PrivacyBudget]
    grants: tuple[GrantDecision, ...]
