"""Waiting for others: again and again, less and less often, and not for ever."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from privatekube import errors

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 2.0
T = TypeVar("T")


def pause(seconds: float, *, at_most: float = LONGEST_WAIT_SECONDS) -> float:
    """Wait about so long, `at_most` that long; how long to wait the next time."""
    time.sleep(min(seconds * random.uniform(0.5, 1), at_most))  # noqa: S311 - spreads retries, protects nothing
    return min(seconds * 2, LONGEST_WAIT_SECONDS)


def repeated(write: Callable[[], None], *, seconds: float) -> None:
    """Call `write` until nobody else writes at the same time.

    Raises:
        Conflict: somebody still does after so many seconds.
    """
    wait, end = FIRST_WAIT_SECONDS, time.monotonic() + seconds
    while True:
        try:
            write()
        except errors.Conflict:
            if time.monotonic() >= end:
                raise
            wait = pause(wait)
        else:
            return


def until(look: Callable[[], T], is_done: Callable[[T], bool], *, seconds: float, otherwise: str) -> T:
    """What `look` finds, once it is done.

    Raises:
        StoreBusy: it is not after so many seconds; says what `otherwise` says.
    """
    wait, end = FIRST_WAIT_SECONDS, time.monotonic() + seconds
    while not is_done(found := look()):
        if time.monotonic() >= end:
            raise errors.StoreBusy(otherwise)
        wait = pause(wait)
    return found
