"""Unlocking policies: how a block's pending budget becomes available.

Sources: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4: DPF-N (a fair share with each arrival) and DPF-T
(with time).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling import durations
from privatekube.scheduling.snapshot import Schedule


class UnlockingPolicy(Protocol):
    """How much of a block's pending budget becomes available, and when; as fractions, whatever the budget's type."""

    @property
    def name(self) -> str:
        """As `parse` reads it."""

    @property
    def period_ms(self) -> int | None:
        """How often time unlocks; None where it never does."""

    @property
    def on_arrival(self) -> float:
        """The fraction of the initial budget, at most what is pending, that a request unlocks on each candidate."""

    def on_tick(self, schedule: Schedule, now_ms: int) -> float:
        """The fraction of the pending budget that is unlocked now."""

    def ends_ms(self, schedule: Schedule) -> int | None:
        """When time will have unlocked everything, unix milliseconds; None where it does not unlock."""


@dataclass(frozen=True, slots=True)
class All:
    """Everything is unlocked at once, and so is what is returned to pending."""

    name: str = "all"
    period_ms: int | None = None
    on_arrival: float = 1.0

    def on_tick(self, schedule: Schedule, now_ms: int) -> float:  # noqa: ARG002 - of the protocol
        """All that is pending."""
        return 1.0

    def ends_ms(self, schedule: Schedule) -> int | None:  # noqa: ARG002 - of the protocol
        """See the protocol."""
        return None


@dataclass(frozen=True, slots=True)
class PerArrival:
    """The N scheme: each request unlocks a fair share, initial / N, on each of its candidates."""

    n: int = 100
    period_ms: int | None = None

    @property
    def name(self) -> str:
        """As `parse` reads it."""
        return f"n={self.n}"

    @property
    def on_arrival(self) -> float:
        """1 / N."""
        return 1 / self.n

    def on_tick(self, schedule: Schedule, now_ms: int) -> float:  # noqa: ARG002 - of the protocol
        """Nothing: only arrivals unlock."""
        return 0.0

    def ends_ms(self, schedule: Schedule) -> int | None:  # noqa: ARG002 - of the protocol
        """See the protocol."""
        return None


@dataclass(frozen=True, slots=True)
class PerTime:
    """The T scheme: pending budget is released evenly until a block's end time; all of it from then on."""

    period_ms: int = 10_000
    duration_ms: int = 30_000
    on_arrival: float = 0.0

    @property
    def name(self) -> str:
        """As `parse` reads it."""
        return f"t={self.period_ms}ms,{self.duration_ms}ms"

    def on_tick(self, schedule: Schedule, now_ms: int) -> float:
        """(now - last) / (end - last), never less than nothing nor more than all."""
        start, end = self.window(schedule)
        if now_ms <= start:
            return 0.0
        if now_ms >= end:
            return 1.0
        last = max(start, schedule.last_release_ms or start)
        return max(0.0, (now_ms - last) / (end - last))

    def ends_ms(self, schedule: Schedule) -> int | None:
        """See the protocol."""
        return self.window(schedule)[1]

    def window(self, schedule: Schedule) -> tuple[int, int]:
        """Start and end of a block's release, unix milliseconds."""
        flow = schedule.flow
        start = (flow and flow.start_time_ms) or schedule.created_ms
        if flow and flow.duration_ms:
            return start, start + flow.duration_ms
        return start, (flow and flow.end_time_ms) or start + self.duration_ms


def arriving(policy: UnlockingPolicy, initial: PrivacyBudget, pending: PrivacyBudget) -> PrivacyBudget | None:
    """What a request unlocks on one of its candidates; None for nothing."""
    return (initial * policy.on_arrival).minimum(pending) if policy.on_arrival else None


def ticking(policy: UnlockingPolicy, schedule: Schedule, pending: PrivacyBudget, now_ms: int) -> PrivacyBudget | None:
    """What is unlocked now; None for nothing."""
    fraction = policy.on_tick(schedule, now_ms)
    return pending * fraction if fraction > 0 and any(value > 0 for value in pending.values) else None


def parse(text: str) -> UnlockingPolicy:
    """`all`, `n=<N>` or `t=<period>,<duration>`, such as `t=10s,30s`.

    Raises:
        InvalidInput: an unknown policy, or a number out of its bound.
    """
    name, _, rest = text.partition("=")
    if name not in _POLICIES:
        raise errors.invalid("unlock", text, "is unknown", "use all, n=<N> or t=<period>,<duration>, such as t=10s,30s")
    return _POLICIES[name](rest)


def _nothing_more(name: str, text: str, policy: UnlockingPolicy) -> UnlockingPolicy:
    if text:
        raise errors.invalid("unlock", f"{name}={text}", "takes no value", f"write {name}")
    return policy


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise errors.invalid("unlock", f"n={text}", "needs a whole number of at least 1", "write n=100")
    return int(text)


def _per_time(text: str) -> PerTime:
    if not text:
        return PerTime()
    amounts = [durations.milliseconds(each) for each in text.split(",")]
    if len(amounts) != 2 or amounts[0] is None or amounts[1] is None:
        raise errors.invalid("unlock", f"t={text}", "needs a period and a duration above 0", "write t=10s,30s")
    return PerTime(period_ms=amounts[0], duration_ms=amounts[1])


_POLICIES: dict[str, Callable[[str], UnlockingPolicy]] = {
    "all": lambda text: _nothing_more("all", text, All()),
    "n": lambda text: PerArrival(_whole(text)),
    "t": _per_time,
}
