"""One reader for each visitor of a shared page, and a bound on how many there are at once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial

from starlette.concurrency import run_in_threadpool

from privatekube import errors
from privatekube.page.reader import Reader, Source

IDLE_SECONDS = 300.0
"""A reader that had no request for so long is closed; an open page sends requests, too."""


class Readers:
    """The readers of the visitors, by token.

    Args:
        open_source: connects as the user of a token.
        most: how many readers there are at most: each holds what its visitor may read in memory.
        idle_seconds: after how long without a request one is closed.
    """

    def __init__(self, open_source: Callable[[str], Source], *, most: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._open_source, self._most, self._idle_seconds = open_source, most, idle_seconds
        self._readers: dict[bytes, asyncio.Task[Reader]] = {}
        """By the digest of the token."""

    @property
    def n_open(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    async def current(self, token: str) -> Reader:
        """Return the reader of a token, with a snapshot that is not too old.

        Raises:
            Unauthenticated: the cluster does not accept the token.
            Forbidden: its user may read nothing.
            StoreBusy: there are too many visitors, or the cluster does not answer.
        """
        key = hashlib.sha256(token.encode()).digest()
        opening = self._readers.get(key) or self._open(key, token)
        try:
            reader = await asyncio.shield(opening)
            await reader.snapshot()
        except errors.NotServed:
            self._close(key)
            raise
        return reader

    def _open(self, key: bytes, token: str) -> asyncio.Task[Reader]:
        self._close_idle()
        if len(self._readers) >= self._most:
            raise errors.StoreBusy(
                f"page: has {self._most} visitors, the most that it takes; try again in some minutes"
            )
        if not self._readers:
            self._look_again()
        opening = asyncio.create_task(run_in_threadpool(Reader, partial(self._open_source, token)))
        opening.add_done_callback(lambda _: self._close(key) if _reader(opening) is None else None)
        self._readers[key] = opening
        return opening

    def _look_again(self) -> None:
        """Close idle readers now and then, as long as there are any: visitors who leave do not say so."""

        def look() -> None:
            self._close_idle()
            if self._readers:
                self._look_again()

        asyncio.get_running_loop().call_later(self._idle_seconds, look)

    def _close_idle(self) -> None:
        for key, opening in list(self._readers.items()):
            reader = _reader(opening)
            if reader is not None and reader.idle_seconds >= self._idle_seconds:
                self._close(key)

    def _close(self, key: bytes) -> None:
        opening = self._readers.pop(key, None)
        reader = None if opening is None else _reader(opening)
        if reader is not None:
            reader.close()


def _reader(opening: asyncio.Task[Reader]) -> Reader | None:
    """Return the reader that was opened; None while it is not, or if that failed."""
    if not opening.done() or opening.cancelled() or opening.exception() is not None:
        return None
    return opening.result()
