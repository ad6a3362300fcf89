"""Poll until a condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_SECONDS = 0.2


def until(condition: Callable[[], bool], seconds: float = 30.0, explain: Callable[[], object] = str) -> None:
    """Wait until `condition` holds, at most `seconds`; `explain` returns the actual state for the message."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(PAUSE_SECONDS)
