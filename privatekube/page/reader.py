"""Reads a store for the page: in one thread of its own, at most once in a while, and without the means to write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from privatekube.client import connect
from privatekube.client.store_client import StoreClient
from privatekube.forecast import forecast
from privatekube.forecast.forecast import Forecast
from privatekube.page.snapshot import Snapshot, left_of
from privatekube.reconcile import read_world
from privatekube.reconcile.ledger_audit import Audit
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.memory import MemoryStore

T = TypeVar("T")
_EVERY_SECONDS, _EVERY_SECONDS_IN_CLUSTER = 1.0, 15.0
"""How old a snapshot may be that is shown: reading a cluster costs its API server something."""
_LONGEST_SECONDS = 60.0
"""How long a file is not read again that no other process wrote to: forecasts begin at the time of the snapshot."""


class Reader:
    """The store that PRIVATEKUBE_STORE names, for reading; a context manager that closes it.

    Raises:
        InvalidInput: it is not a store, or cannot be opened.
        StoreBusy: another process holds it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="privatekube-page")
        self._snapshot: Snapshot | None = None
        self._read_at = float("-inf")
        self._mark: int | None = None
        self._has_all_entries = True
        try:
            self._client = self._thread.submit(connect.connect_to_read).result()
            self._thread.submit(self._current).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._client.store.close).result()
        self._thread.shutdown()

    async def snapshot(self) -> Snapshot:
        """Return the state of the store, at most a moment old."""
        return await self._run(self._current)

    async def verify_ledger(self) -> Audit:
        """Check the ledger.

        Raises:
            CorruptData: names what does not fit.
        """
        return await self._run(self._client.verify_ledger)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

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
        known = before.entries if before is not None and self._has_all_entries else ()
        later = store.later_entries(known[-1].sequence if known else 0)
        self._has_all_entries = not later.unreadable  # what cannot be read is told each time, not once
        quotas, _ = read_world.counted(store.list_quotas(), later)
        unreadable = [f"{item.name}: {item.error}" for item in store.unreadable()]
        snapshot = Snapshot(
            store=connect.store_name(),
            now_ms=self._client.clock.now_ms(),
            blocks=blocks,
            claims={claim.id: claim for claim in store.list_claims()},
            entries=(*known, *later.entries),
            settings=self._client.policy_settings(),
            retired=tuple(store.list_retired()),
            unreadable=(*unreadable, *(str(item.error) for item in later.unreadable)),
            quotas=tuple(quotas),
            left=left_of(blocks.values(), before),
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
    """A clock that stands at the time of a snapshot."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return self._now_ms

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        return self._now_ms * 1_000_000
