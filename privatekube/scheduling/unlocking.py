"""Unlocking policies: how a block's pending budget becomes available.

Sources: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4: DPF-N (a fair share with each arrival) and DPF-T
(with time).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling.components import Floats
from privatekube.scheduling.snapshot import BlockView


@dataclass(frozen=True, slots=True)
class Portion:
    """An amount of a block's budget, never more than what is pending.

    Args:
        of_capacity: fraction of the initial budget.
        of_pending: fraction of what is still locked, in addition.
    """

    of_capacity: float = 0.0
    of_pending: float = 0.0

    def of(self, block: BlockView) -> PrivacyBudget | None:
        """The amount on `block`; None where that is nothing."""
        amount = (block.capacity * self.of_capacity + block.pending * self.of_pending).minimum(block.pending)
        return amount if any(value > 0 for value in amount.values) else None

    def of_arrays(self, capacity: Floats, pending: Floats) -> Floats:
        """The amounts on many blocks, each [blocks, columns]."""
        amount: Floats = np.minimum(capacity * self.of_capacity + pending * self.of_pending, pending)
        return amount


class UnlockingPolicy(Protocol):
    """How much of a block's pending budget becomes available, and when."""

    @property
    def name(self) -> str:
        """As `parse` reads it."""

    @property
    def period_ms(self) -> int | None:
        """How often time unlocks; None where it never does."""

    def at_arrival(self) -> Portion | None:
        """What a new request unlocks on each of its candidates."""

    def at_tick(self, block: BlockView, now_ms: int) -> Portion | None:
        """What a pass at this time unlocks."""

    def on_arrival(self, block: BlockView) -> PrivacyBudget | None:
        """What a new request unlocks on this candidate."""

    def on_tick(self, block: BlockView, now_ms: int) -> PrivacyBudget | None:
        """What a pass at this time unlocks on this block."""


class _Amounts:
    """Amounts out of portions, the same for every policy."""

    def on_arrival(self: UnlockingPolicy, block: BlockView) -> PrivacyBudget | None:
        portion = self.at_arrival()
        return None if portion is None else portion.of(block)

    def on_tick(self: UnlockingPolicy, block: BlockView, now_ms: int) -> PrivacyBudget | None:
        portion = self.at_tick(block, now_ms)
        return None if portion is None else portion.of(block)


@dataclass(frozen=True)
class All(_Amounts):
    """Everything is unlocked at once, and so is what is returned to pending."""

    name: str = "all"
    period_ms: int | None = None

    def at_arrival(self) -> Portion | None:
        """All that is pending."""
        return Portion(of_pending=1.0)

    def at_tick(self, block: BlockView, now_ms: int) -> Portion | None:  # noqa: ARG002 - of the protocol
        """All that is pending."""
        return Portion(of_pending=1.0)


@dataclass(frozen=True)
class PerArrival(_Amounts):
    """The N scheme: each request unlocks a fair share, initial / N, on each of its candidates."""

    n: int = 100
    period_ms: int | None = None

    @property
    def name(self) -> str:
        """As `parse` reads it."""
        return f"n={self.n}"

    def at_arrival(self) -> Portion | None:
        """min(initial / N, pending)."""
        return Portion(of_capacity=1 / self.n)

    def at_tick(self, block: BlockView, now_ms: int) -> Portion | None:  # noqa: ARG002 - of the protocol
        """Nothing: only arrivals unlock."""
        return None


@dataclass(frozen=True)
class PerTime(_Amounts):
    """The T scheme: pending budget is released evenly until a block's end time; all of it from then on."""

    period_ms: int = 10_000
    duration_ms: int = 30_000

    @property
    def name(self) -> str:
        """As `parse` reads it."""
        return f"t={self.period_ms}ms,{self.duration_ms}ms"

    def at_arrival(self) -> Portion | None:
        """Nothing: only time unlocks."""
        return None

    def at_tick(self, block: BlockView, now_ms: int) -> Portion | None:
        """Pending * (now - last) / (end - last), never less than nothing nor more than all."""
        start, end = self.window(block)
        if now_ms <= start:
            return None
        if now_ms >= end:
            return Portion(of_pending=1.0)
        last = max(start, block.last_release_ms or start)
        share = (now_ms - last) / (end - last)
        return Portion(of_pending=share) if share > 0 else None

    def window(self, block: BlockView) -> tuple[int, int]:
        """Start and end of a block's release, unix milliseconds."""
        flow = block.flow
        start = (flow and flow.start_time_ms) or block.created_ms
        if flow and flow.duration_ms:
            return start, start + flow.duration_ms
        return start, (flow and flow.end_time_ms) or start + self.duration_ms
