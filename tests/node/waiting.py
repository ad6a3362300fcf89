"""Poll a cluster until a condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.3


def until(condition: Callable[[], bool], seconds: float, explain: Callable[[], object]) -> None:
    """Wait until `condition` holds, at most `seconds`; `explain` returns the actual state for the message."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(_PAUSE_SECONDS)
