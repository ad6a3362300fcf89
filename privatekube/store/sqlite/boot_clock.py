"""The clock of a store in a file: that of the machine, but not set while the machine runs.

The processes that share the file come and go, so none of them can count how long a claim waits. The system's clock
would do, but it may be set, by hours or years. So the first process after a start of the machine records the time of
that start by the system's clock, and all processes count from it until the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from privatekube.store.clock import SYSTEM, Clock, steady_ns

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
EnsureSecret = Callable[[str, bytes], bytes]
"""Returns what was stored first under a name; see `ResourceStore.ensure_secret`."""


@dataclass
class BootClock:
    """Counts from the start of the machine.

    Args:
        ensure_secret: of the store.
        boot_id: names this run of the machine.
        since_boot_ns: how long it has been running, in nanoseconds, suspensions included.
        system: the system's clock, read once in a run of the machine.
    """

    ensure_secret: EnsureSecret
    boot_id: str
    since_boot_ns: Callable[[], int]
    system: Clock = SYSTEM
    _boot_ns: int | None = None

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return self.now_ns() // 1_000_000

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        if self._boot_ns is None:
            boot_ns = self.system.now_ns() - self.since_boot_ns()
            self._boot_ns = int(self.ensure_secret(f"boot-{self.boot_id}", str(boot_ns).encode()))
        return self._boot_ns + self.since_boot_ns()


def of_store(ensure_secret: EnsureSecret) -> Clock:
    """Return the clock of a store; the system's, where the machine does not tell when it started."""
    try:
        boot_id = _BOOT_ID.read_text().strip()
    except OSError:
        return SYSTEM
    return BootClock(ensure_secret, boot_id, steady_ns)
