"""How long each view of the page takes on a large store: `PYTHONPATH=. python benchmarks/page.py [BLOCKS] [CLAIMS]`.

Of the claims, a half has consumed on ten blocks each, a quarter holds budget, and a quarter waits.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from privatekube.client import connect
from privatekube.resources.block import BlockStatus, PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import Period, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.responses import AllocateResponse, Allocation, Response, ResponseState
from privatekube.store.base import ResourceStore
from tests import builders
from tests.page import sites

VIEWS = (
    "/",
    "/dataset?namespace=ns&name=d",
    "/blocks",
    "/blocks?q=tue",
    "/blocks/ns/b7-3",
    "/claims",
    "/claims?state=waiting",
    "/claims/ns/c7",
    "/spending",
    "/spending?by=month",
    "/teams",
    "/runs",
    "/ledger",
    "/ledger?q=c17",
    "/ledger.csv?q=c17",
    "/policy",
)
BUCKETS, PER_CLAIM, REPEATS = 10, 10, 5
SHOWN_SECONDS = 1.5
"""After this long a reading is not shown any more, if the store has changed."""
DEMAND = sites.gaussian(0.0001)


def main() -> None:
    """Fill a store, and print the median time of each view, and that of the first one after a change."""
    n_blocks, n_claims = (int(number) for number in (*sys.argv[1:3], "10000", "10000")[:2])
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/state.db"
        with connect.connect(uri) as client, client.store.transaction():
            fill(client.store, n_blocks, n_claims, now_ms=client.clock.now_ms())
            for name, share in (("all", 0.5), ("month", 0.1)):
                spec = QuotaSpec("d", share=share, period=Period.MONTH if name == "month" else Period.LIFETIME)
                client.store.put_quota(PrivacyBudgetQuota(ObjectMeta(name, "ns"), spec))
        print(f"{n_blocks} blocks, {n_claims} claims; processor time, wall time, size")
        began = Began()
        with sites.serving(uri, Path(folder)) as page:
            print(f"{'the first reading':40} {began}")
            for path in VIEWS:
                show(page, path, times=REPEATS)
            with connect.connect(uri) as client:
                client.store.create(builders.claim("new", builders.allocate(demand=DEMAND)))
            time.sleep(SHOWN_SECONDS)
            show(page, "/", times=1, what="/ after a change")
            show(page, "/teams", times=1, what="/teams after a change")


class Began:
    """A time in this process, and what has passed since."""

    def __init__(self) -> None:
        self.wall, self.used = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        return f"{time.process_time() - self.used:6.2f} s {time.perf_counter() - self.wall:6.2f} s"


def show(page: sites.Served, path: str, *, times: int, what: str | None = None) -> None:
    """Print the median of the times that a view takes."""
    lines = []
    for _ in range(times):
        began = Began()
        status, text = page.get(path)
        if status != 200:
            raise SystemExit(text)
        lines.append(f"{what or path:40} {began} {len(text) >> 10:4} KiB")
    print(sorted(lines)[len(lines) // 2])


def fill(store: ResourceStore, n_blocks: int, n_claims: int, *, now_ms: int) -> None:
    """Write blocks and claims as passes would have left them."""
    committed: dict[str, dict[str, object]] = {}
    for number in range(n_claims):
        names = [f"ns/b{(number + place) % (n_blocks // BUCKETS)}-{number % BUCKETS}" for place in range(PER_CLAIM)]
        claim = store.create(builders.claim(f"c{number}", builders.allocate(demand=DEMAND)))
        budgets = dict.fromkeys(names, DEMAND)
        kind = "committed" if number % 2 else "reserved" if number % 4 else "acquired"
        state = ResponseState.PENDING if kind == "reserved" else ResponseState.SUCCESS
        detail = AllocateResponse({name: Allocation(acquired=DEMAND) for name in names}, now_ms, now_ms)
        answered = ClaimStatus(responses=(Response("0", state, None, detail),))
        status = replace(answered, **{kind: budgets})  # type: ignore[arg-type]  # one of the three budgets
        store.update_status(replace(claim, status=status))
        for name in names:
            committed.setdefault(name, {}).setdefault(kind, {})[claim.id] = DEMAND  # type: ignore[index]  # by kind
            if kind == "committed":
                store.append(entry(claim, name, now_ms))
    for number in range(n_blocks):
        day, bucket = divmod(number, BUCKETS)
        name = f"b{day}-{bucket}"
        block = builders.block(name, sites.CAPACITY, day=day, bucket=bucket, buckets=BUCKETS)
        store.update_status(with_status(store.create(block), committed.get(f"ns/{name}", {})))


def with_status(block: PrivateDataBlock, held: dict[str, object]) -> PrivateDataBlock:
    """Return a block of which these amounts are held."""
    whole = block.spec.initial_budget
    n_granted = sum(len(held.get(kind, ())) for kind in ("acquired", "committed"))  # type: ignore[arg-type, misc]  # maps
    status = BlockStatus(whole * 0.0, whole - DEMAND * float(n_granted), **held)  # type: ignore[arg-type]  # by kind
    return replace(block, status=status)


def entry(claim: PrivacyBudgetClaim, block: str, now_ms: int) -> Entry:
    """Return the entry of a claim for a block."""
    return Entry(f"{claim.id}/{block}", now_ms, "d", f"name:{block}", block, claim.id, None, DEMAND, "consumed")


if __name__ == "__main__":
    main()
