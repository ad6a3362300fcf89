"""Read a store for the page: in a separate thread, not too often, and through a connection that cannot write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from privatekube import errors
from privatekube.client import connect
from privatekube.client.store_client import StoreClient
from privatekube.forecast import forecast
from privatekube.forecast.forecast import Forecast
from privatekube.page.snapshot import Kept, Snapshot, left_of
from privatekube.reconcile import read_world
from privatekube.reconcile.ledger_audit import Audit
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.memory import MemoryStore

T = TypeVar("T")
_EVERY_SECONDS, _EVERY_SECONDS_IN_CLUSTER = 1.0, 15.0
"""How old a snapshot that is shown may be; longer in a cluster, where each reading is work for the API server."""
_LONGEST_SECONDS = 60.0
"""When to read a file again that no process has written to: forecasts begin at the time of the snapshot."""


@dataclass(frozen=True, slots=True)
class Source:
    """A store to read.

    Args:
        client: of the store.
        name: of the store, for visitors.
        gaps: returns one line for each thing that its user lacks the rights to read.
    """

    client: StoreClient
    name: str
    gaps: Callable[[], Sequence[str]] = tuple


def named_store() -> Source:
    """Return the store that PRIVATEKUBE_STORE names."""
    return Source(connect.connect_to_read(), connect.store_name())


class Reader:
    """Reads a store, by default the one that PRIVATEKUBE_STORE names; a context manager that closes it.

    Args:
        open_source: connects to the store.

    Raises:
        InvalidInput: it is not a store, or cannot be opened.
        StoreBusy: another process holds it.
    """

    def __init__(self, open_source: Callable[[], Source] = named_store) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="privatekube-page")
        self._snapshot: Snapshot | None = None
        self._read_at = float("-inf")
        self._mark: int | None = None
        self._has_all_entries = True
        try:
            self._source = self._thread.submit(open_source).result()
            self._client = self._source.client
            self._thread.submit(self._current).result()
            self._used_at = time.monotonic()
        except BaseException:
            self._thread.shutdown()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._thread.shutdown()

    def close(self) -> None:
        """Close the store once the current reading has ended; do not wait for that."""
        self._thread.submit(self._client.store.close)
        self._thread.shutdown(wait=False)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request."""
        return time.monotonic() - self._used_at

    async def snapshot(self) -> Snapshot:
        """Return the state of the store, at most a moment old."""
        return await self._run(self._current)

    async def verify_ledger(self) -> Audit:
        """Check the ledger.

        Raises:
            CorruptData: names what does not fit.
            Forbidden: the visitor may not read all that is compared.
        """
        return await self._run(self._verify)

    async def _run(self, call: Callable[[], T]) -> T:
        self._used_at = time.monotonic()
        try:
            future = self._thread.submit(call)
        except RuntimeError as error:
            raise errors.StoreBusy("page: the connection was closed meanwhile; load it again") from error
        return await asyncio.wrap_future(future)

    def _verify(self) -> Audit:
        if gaps := self._source.gaps():
            raise errors.Forbidden(f"ledger: only a user who may read everything can verify it; {gaps[0]}")
        return self._client.verify_ledger()

    def _current(self) -> Snapshot:
        before, store = self._snapshot, self._client.store
        age = time.monotonic() - self._read_at
        if before is not None and age < (_EVERY_SECONDS if self._client.is_embedded else _EVERY_SECONDS_IN_CLUSTER):
            return before
        mark = store.change_mark()
        is_unchanged = mark is not None and mark == self._mark and age < _LONGEST_SECONDS
        if before is None or not is_unchanged:
            with store.transaction():  # of a file, all from one state
                self._snapshot = before = self._read(before)
            self._read_at, self._mark = time.monotonic(), mark
        return before

    def _read(self, before: Snapshot | None) -> Snapshot:
        store = self._client.store
        blocks = {block.id: block for block in store.list_blocks()}
        is_growing = before is not None and self._has_all_entries and self._client.is_embedded
        known = before.entries if before is not None and is_growing else ()
        later = store.later_entries(known[-1].sequence if known else 0)
        self._has_all_entries = not later.unreadable  # what cannot be read is told each time, not once
        quotas, _ = read_world.counted(store.list_quotas(), later)
        unreadable = [f"{item.name}: {item.error}" for item in store.unreadable()]
        snapshot = Snapshot(
            store=self._source.name,
            now_ms=self._client.clock.now_ms(),
            blocks=blocks,
            claims={claim.id: claim for claim in store.list_claims()},
            entries=(*known, *later.entries),
            settings=self._client.policy_settings(),
            retired=tuple(store.list_retired()),
            unreadable=(*self._source.gaps(), *unreadable, *(str(item.error) for item in later.unreadable)),
            quotas=tuple(quotas),
            left=left_of(blocks.values(), before),
            kept=Kept() if before is None else before.keep(),
        )
        snapshot.prepare()
        return snapshot


def explain(snapshot: Snapshot, claim: PrivacyBudgetClaim) -> Forecast | None:
    """Return why a claim waits, or what would happen if a refused claim asked again; None if it was granted.

    Raises:
        InvalidInput: the claim has no request for budget.
    """
    resources: list[Resource] = [*snapshot.blocks.values(), *snapshot.claims.values()]
    store = MemoryStore(
        resources={kinds.name_of(resource): resource for resource in resources},
        records={(data.dataset, data.digest): data for data in snapshot.retired},
        named_settings=dict(snapshot.settings),
        entries=list(snapshot.entries),
        quotas={quota.id: quota for quota in snapshot.quotas},
    )
    return forecast.explain_claim(StoreClient(store, clock=_At(snapshot.now_ms)), claim)


class _At:
    """A clock that is stopped at the time of a snapshot."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return self._now_ms

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        return self._now_ms * 1_000_000
