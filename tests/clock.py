"""A clock that tests set."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field


@dataclass
class FakeClock:
    """Stands still until `time_ms` is set; two calls of `now_ns` never return the same value."""

    time_ms: int = 1000
    _calls: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return self.time_ms

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        return self.time_ms * 1_000_000 + next(self._calls)
