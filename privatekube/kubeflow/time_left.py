"""How long a step will still take, by the lines in which it counts what is done."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COUNT = re.compile(r"\b(\d+) of (\d+)\b")
_LEAST_SECONDS = 2.0
"""An estimate of less, or from less, says nothing."""


@dataclass(frozen=True, slots=True)
class _Count:
    done: int
    total: int
    at_seconds: float


class TimeLeft:
    """Estimates the time left of a step from the lines that it writes, such as `fetched block 3 of 10`.

    It is for those who watch, and is computed where they do: no step logs a duration.

    >>> time_left = TimeLeft()
    >>> [time_left.after(f"fetched block {number} of 10", now=10.0 * number) for number in (1, 2, 8)]
    ['', 'about 80 s left', 'about 20 s left']
    """

    def __init__(self) -> None:
        self._first: _Count | None = None

    def after(self, line: str, *, now: float) -> str:
        """Return the estimate after a line; empty if there is none.

        Args:
            line: what the step wrote.
            now: seconds on a clock that never goes back.
        """
        found = _COUNT.search(line)
        if found is None:
            self._first = None
            return ""
        count = _Count(int(found[1]), int(found[2]), now)
        if self._first is None or self._first.total != count.total or count.done <= self._first.done:
            self._first = count
        return _text(self._first, count)


def _text(first: _Count, count: _Count) -> str:
    elapsed = count.at_seconds - first.at_seconds
    if count.done <= first.done or elapsed < _LEAST_SECONDS:
        return ""
    seconds = elapsed / (count.done - first.done) * (count.total - count.done)
    if seconds < _LEAST_SECONDS:
        return ""
    return f"about {seconds:.0f} s left" if seconds < 120 else f"about {seconds / 60:.0f} min left"
