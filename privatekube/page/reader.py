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
from privatekube.reconcile.ledger_audit import Audit
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Readable
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.memory import MemoryStore

T = TypeVar("T")
_EVERY_SECONDS, _EVERY_SECONDS_IN_CLUSTER = 1.0, 5.0
"""How old a snapshot may be that is shown: reading a cluster costs its API server something."""
_LEDGER_SECONDS = 30.0
"""How long the ledger is not read again while no block and no claim was written."""


class Reader:
    """The store that PRIVATEKUBE_STORE names, for reading; a context manager that closes it.

    Raises:
        InvalidInput: it is not a store, or cannot be opened.
        StoreBusy: another process holds it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="privatekube-page")
        self._snapshot: Snapshot | None = None
        self._read_at = self._ledger_at = float("-inf")
        self._ledger = Readable(())
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
        every = _EVERY_SECONDS if self._client.is_embedded else _EVERY_SECONDS_IN_CLUSTER
        if self._snapshot is None or time.monotonic() - self._read_at > every:
            with self._client.store.transaction():  # of a file, all from one state
                self._snapshot = self._read()
            self._read_at = time.monotonic()
        return self._snapshot

    def _read(self) -> Snapshot:
        store, before = self._client.store, self._snapshot
        blocks = {block.id: block for block in store.list_blocks()}
        claims = {claim.id: claim for claim in store.list_claims()}
        is_unchanged = before is not None and (blocks, claims) == (before.blocks, before.claims)
        if not is_unchanged or time.monotonic() - self._ledger_at > _LEDGER_SECONDS:
            self._ledger, self._ledger_at = store.readable_ledger(), time.monotonic()
        unreadable = [f"{item.name}: {item.error}" for item in store.unreadable()]
        return Snapshot(
            store=connect.store_name(),
            now_ms=self._client.clock.now_ms(),
            blocks=blocks,
            claims=claims,
            entries=self._ledger.entries,
            settings=self._client.policy_settings(),
            retired=tuple(store.list_retired()),
            unreadable=(*unreadable, *(str(item.error) for item in self._ledger.unreadable)),
            left=left_of(blocks.values(), before),
        )


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
