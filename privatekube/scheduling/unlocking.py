"""Unlocking policies: how a block's pending budget becomes available.

Source: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4: DPF-N (a fair share with each arrival) and DPF-T
(with time).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from privatekube import errors
from privatekube.resources.block import FlowReleasing
from privatekube.scheduling import durations

_MOST_DIGITS = 12


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


class UnlockingPolicy(Protocol):
    """When a block's pending budget becomes available, and how much of it, as fractions of any type of budget."""

    @property
    def name(self) -> str:
        """The name that `parse` reads."""

    @property
    def period_ms(self) -> int | None:
        """How often time unlocks, in milliseconds; None if it never does."""

    @property
    def on_arrival(self) -> float:
        """The fraction of the initial budget that a request unlocks on each candidate, up to what is pending."""

    def on_tick(self, schedule: UnlockSchedule, now_ms: int) -> float:
        """Return the fraction of the pending budget that is unlocked now."""

    def starts_ms(self, schedule: UnlockSchedule) -> int | None:
        """Return when time begins to unlock, in unix milliseconds; None if it does not."""

    def ends_ms(self, schedule: UnlockSchedule) -> int | None:
        """Return when time will have unlocked everything, in unix milliseconds; None if time does not unlock."""


@dataclass(frozen=True, slots=True)
class All:
    """Unlock everything at once, including budget that is returned to pending."""

    name: str = "all"
    period_ms: int | None = None
    on_arrival: float = 1.0

    def on_tick(self, schedule: UnlockSchedule, now_ms: int) -> float:  # noqa: ARG002 - part of the protocol
        """Return 1: all that is pending."""
        return 1.0

    def starts_ms(self, schedule: UnlockSchedule) -> int | None:  # noqa: ARG002 - part of the protocol
        """Return None: time does not unlock."""
        return None

    def ends_ms(self, schedule: UnlockSchedule) -> int | None:  # noqa: ARG002 - part of the protocol
        """Return None: time does not unlock."""
        return None


@dataclass(frozen=True, slots=True)
class PerArrival:
    """Unlock a fair share, initial / N, with each request on each of its candidates (DPF-N)."""

    n: int = 100
    period_ms: int | None = None

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        return f"n={self.n}"

    @property
    def on_arrival(self) -> float:
        """1 / N."""
        return 1 / self.n

    def on_tick(self, schedule: UnlockSchedule, now_ms: int) -> float:  # noqa: ARG002 - part of the protocol
        """Return 0: only arrivals unlock."""
        return 0.0

    def starts_ms(self, schedule: UnlockSchedule) -> int | None:  # noqa: ARG002 - part of the protocol
        """Return None: time does not unlock."""
        return None

    def ends_ms(self, schedule: UnlockSchedule) -> int | None:  # noqa: ARG002 - part of the protocol
        """Return None: time does not unlock."""
        return None


@dataclass(frozen=True, slots=True)
class PerTime:
    """Unlock pending budget evenly until the end time of a block, and all of it from then on (DPF-T)."""

    period_ms: int = 10_000
    duration_ms: int = 30_000
    on_arrival: float = 0.0

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        return f"t={self.period_ms}ms,{self.duration_ms}ms"

    def on_tick(self, schedule: UnlockSchedule, now_ms: int) -> float:
        """Return (now - last) / (end - last), between 0 and 1."""
        start, end = self.window(schedule)
        if now_ms <= start:
            return 0.0
        if now_ms >= end:
            return 1.0
        last = max(start, schedule.last_release_ms or start)
        return max(0.0, (now_ms - last) / (end - last))

    def starts_ms(self, schedule: UnlockSchedule) -> int | None:
        """Return the start of the block's release, in unix milliseconds."""
        return self.window(schedule)[0]

    def ends_ms(self, schedule: UnlockSchedule) -> int | None:
        """Return the end of the block's release, in unix milliseconds."""
        return self.window(schedule)[1]

    def window(self, schedule: UnlockSchedule) -> tuple[int, int]:
        """Return the start and the end of a block's release, in unix milliseconds."""
        flow = schedule.flow
        start = (flow and flow.start_time_ms) or schedule.created_ms
        if flow and flow.duration_ms:
            return start, start + flow.duration_ms
        return start, (flow and flow.end_time_ms) or start + self.duration_ms


def parse(text: str) -> UnlockingPolicy:
    """Return the policy that `text` names: `all`, `n=<N>` or `t=<period>,<duration>`, such as `t=10s,30s`.

    Raises:
        InvalidInput: the policy is unknown, or a number is out of its bounds.
    """
    name, _, rest = text.partition("=")
    if name not in _POLICIES:
        raise errors.invalid("unlock", text, "is unknown", "use all, n=<N> or t=<period>,<duration>, such as t=10s,30s")
    return _POLICIES[name](rest)


def require_explicit(text: str) -> None:
    """Refuse a policy that leaves its numbers to a default; a store may still hold such a one.

    Raises:
        InvalidInput: the text is the name of a policy that has numbers, without them, or `all=`.

    >>> require_explicit("t=10s,30s")
    """
    name, _, numbers = text.partition("=")
    if name in _POLICIES and not numbers and text != "all":
        raise errors.invalid("unlock", text, "leaves out its numbers", "write all, n=100 or t=10s,30s")


def _without_value(name: str, text: str, policy: UnlockingPolicy) -> UnlockingPolicy:
    if text:
        raise errors.invalid("unlock", f"{name}={text}", "takes no value", f"write {name}")
    return policy


def _positive_integer(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or int(text) < 1:
        fault = f"needs a whole number of at least 1, of at most {_MOST_DIGITS} digits"
        raise errors.invalid("unlock", f"n={text}", fault, "write n=100")
    return int(text)


def _per_time(text: str) -> PerTime:
    if not text:
        return PerTime()
    amounts = [durations.milliseconds(part) for part in text.split(",")]
    if len(amounts) != 2 or amounts[0] is None or amounts[1] is None:
        raise errors.invalid("unlock", f"t={text}", "needs a period and a duration above 0", "write t=10s,30s")
    return PerTime(period_ms=amounts[0], duration_ms=amounts[1])


_POLICIES: dict[str, Callable[[str], UnlockingPolicy]] = {
    "all": lambda text: _without_value("all", text, All()),
    "n": lambda text: PerArrival(_positive_integer(text)),
    "t": _per_time,
}
