"""The wall clock, passed as a value so that tests can set the time; nothing else reads `time.time_ns`.

Example: `SqliteStore(path, clock=FakeClock(1000))`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time since the Unix epoch."""

    def now_ms(self) -> int:
        """Return the time in milliseconds."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds, which orders objects that are created within one millisecond."""


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return self.now_ns() // 1_000_000

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        return time.time_ns()


SYSTEM = SystemClock()


def steady_ns() -> int:
    """Return a time that nobody sets, in nanoseconds; a suspension of the machine counts, where that is known."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
