"""Waiting for what a cluster does, without keeping it busy with questions."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.3


def until(condition: Callable[[], bool], seconds: float, explain: Callable[[], object]) -> None:
    """Wait for `condition`, at most so long; `explain` says what there is instead."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(_PAUSE_SECONDS)
