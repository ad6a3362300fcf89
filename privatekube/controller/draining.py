"""Wait for what a thread of the controller has to send before the process ends."""

from __future__ import annotations

import queue
import time
from typing import Any

_POLL_SECONDS = 0.05


def wait_until_done(queued: queue.Queue[Any], seconds: float) -> int:
    """Wait until all items of a queue are done, or that time is over; return how many are not."""
    end = time.monotonic() + seconds
    while queued.unfinished_tasks and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return queued.unfinished_tasks
