"""The largest memory of the processes below this one, sampled while they run."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_SECONDS = 0.05


class PeakMemory:
    """Samples the process below this one that needs most memory of its own: pages of files, which can go, are apart.

    Example:
        >>> with PeakMemory().sampled() as memory:
        ...     0 <= memory.take() <= memory.take()
        True
    """

    def __init__(self) -> None:
        self._largest, self._ended = 0, threading.Event()

    @contextlib.contextmanager
    def sampled(self) -> Iterator[PeakMemory]:
        """Sample while a block runs."""
        thread = threading.Thread(target=self._sample, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def take(self) -> int:
        """Return the largest number of bytes since the last call."""
        largest, self._largest = self._largest, 0
        return largest

    def _sample(self) -> None:
        while not self._ended.wait(_SECONDS):
            self._largest = max(self._largest, *map(_own_bytes, _below(os.getpid())), 0)


def _below(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _below(child)


def _own_bytes(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0
