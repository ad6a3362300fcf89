"""The input and the output of a scheduling decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.request_id import RequestId
from privatekube.scheduling.limits import Limit


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as the scheduler sees it: its initial budget, and the part of it that is available."""

    id: str
    capacity: PrivacyBudget
    available: PrivacyBudget


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request that waits for budget.

    Args:
        id: identifies the request in the decisions.
        demand: the demand on each candidate block, by block id.
        n_blocks: how many of the candidates it needs; None for all.
        arrival_ms: when it arrived, in unix milliseconds.
        priority: for policies that use priorities.
        weight: of its team, for policies that weigh teams.
        deadline_ms: of its claim, in unix milliseconds, for policies that prefer the earliest among equals.
    """

    id: RequestId
    demand: Mapping[str, PrivacyBudget]
    n_blocks: int | None
    arrival_ms: int
    priority: int = 0
    weight: float = 1.0
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision depends on; `waiting` is in order of arrival."""

    blocks: Mapping[str, BlockView]
    waiting: tuple[WaitingRequest, ...]
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantDecision:
    """Grant a request these amounts, by block id: its whole demand on each of these blocks."""

    request_id: RequestId
    amounts: Mapping[str, PrivacyBudget]
