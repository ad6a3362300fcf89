"""A store with something of everything to show, a published run, and a server of the page in this process."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.page import reader, server
from privatekube.page.address_token import Access, AddressToken
from privatekube.page.guard import Door
from privatekube.page.reader import Reader, Source
from privatekube.page.routes import Site
from privatekube.page.snapshot import Snapshot, left_of
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import Beyond, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.scheduling import policy
from privatekube.steps import documents, privacy_card
from tests import builders, waiting
from tests.passes import run_pass
from tests.steps import builders as documents_of

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
"""What a user may write into any text."""
SCRIPT_URL = "javascript:alert(3)//"
CAPACITY = renyi_filter.capacity(EpsilonDelta(10.0, 1e-7))


def fill(store: Path) -> str:
    """Make a store with Renyi blocks of ten days by two buckets, a dataset of scripts, and claims; return its URI.

    `paid` has consumed, `held` holds; `later` waits for what will be unlocked, and `greedy` for an approval; `denied`
    was refused.
    """
    uri = f"sqlite:///{store}"
    with connect.connect(uri) as client:
        client.set_policy(unlock="n=10", order="dpf")
        blocks = [
            builders.block(f"reviews-{day}-{bucket}", CAPACITY, dataset="reviews", day=day, bucket=bucket, buckets=2)
            for day in range(10)
            for bucket in range(2)
        ]
        client.create_blocks([*blocks, hostile_block()])
        tenth = gaussian(0.09)
        client.allocate("ns", "paid", builders.allocate(demand=tenth, dataset="reviews"), timeout_seconds=5)
        client.mark_opened("ns/paid")
        client.register_release("ns/paid", builders.release(SCRIPT, event=json.dumps({"type": SCRIPT})))
        client.consume("ns/paid", mechanisms=[SCRIPT])
        client.allocate("ns", "held", builders.allocate(demand=tenth, dataset="reviews"), timeout_seconds=5)
        waits = builders.allocate(demand=gaussian(0.5), dataset="reviews", timeout_ms=86_400_000)
        why = Requester(user=SCRIPT, team="ads", purpose=SCRIPT)
        later = builders.claim("later", waits)
        client.store.create(replace(later, spec=replace(later.spec, requester=why)))
        threshold = QuotaSpec(SCRIPT, share=0.5, beyond=Beyond.APPROVAL)
        client.store.put_quota(PrivacyBudgetQuota(ObjectMeta("threshold", "ns"), threshold))
        client.store.create(builders.claim("greedy", builders.allocate(1e6, dataset=SCRIPT)))
        client.store.create(builders.claim("denied", builders.allocate(dataset=SCRIPT + "2")))
        run_pass(client)
        client.store.put_quota(PrivacyBudgetQuota(ObjectMeta("all", "ns"), QuotaSpec("reviews", share=0.9)))
    return uri


def gaussian(share: float) -> RenyiCurve:
    """Return the cost of a Gaussian mechanism that takes this share of `CAPACITY` at order 5, its best one."""
    return RenyiCurve(CAPACITY.orders, tuple(order * share * (CAPACITY.at(5) or 0.0) / 5 for order in CAPACITY.orders))


def hostile_block() -> PrivateDataBlock:
    """Return a block with a script in each text of its owner."""
    dimensions = (Dimension(SCRIPT, string_value=SCRIPT), Dimension("unit", string_value=SCRIPT))
    return PrivateDataBlock(
        ObjectMeta("hostile", "ns"), BlockSpec(EpsilonDelta(1.0, 1e-7), SCRIPT, SCRIPT_URL + SCRIPT, dimensions)
    )


def publish(
    results: Path, run_id: str = "r1", *, accuracy: float = 0.7, settings: dict[str, Any] | None = None
) -> Path:
    """Publish a run of the claim `ns/paid`, with scripts in what its user states; return its folder."""
    folder = results / run_id
    folder.mkdir(parents=True)
    named = {"run_id": run_id, "claim": "ns/paid"}
    fields = documents_of.SETTINGS | {"note": SCRIPT} if settings is None else settings
    declared = documents_of.DECLARED | {"organisation": SCRIPT, "purpose": SCRIPT}
    granted = documents_of.grant(**named, settings=fields, declared=declared)
    paid = documents.Receipt(
        grant=f"sha256:{0:064}", committed={"ns/a": {}}, epsilon=0.49, delta=1e-9, spends=(), **named
    )
    share = documents.Estimate(estimate=accuracy, low=accuracy - 0.1, high=accuracy + 0.1)
    metrics = documents.Metrics(
        accuracy=share,
        per_class={"books": share, SCRIPT: documents.Estimate(estimate=None, low=0.0, high=1.0)},
        majority_share=share,
        task="product",
        model="lstm",
        noise=documents.CountNoise(scale=5.0, sensitivity=1),
    )
    (folder / "receipt.json").write_text(paid.model_dump_json())
    (folder / "metrics.json").write_text(metrics.model_dump_json())
    card = privacy_card.sign(privacy_card.of_run(granted, paid, {}, {}), None)
    (folder / privacy_card.FILE).write_bytes(card.encode())
    return folder


def snapshot(client: BudgetClient) -> Snapshot:
    """Return what the page would read of a store."""
    return of_resources(client.list_blocks(), client.list_claims(), client)


def of_resources(
    blocks: list[PrivateDataBlock], claims: list[PrivacyBudgetClaim], client: BudgetClient | None = None
) -> Snapshot:
    """Return the snapshot of some blocks and claims; with the ledger and the policy of a store, if there is one."""
    return Snapshot(
        store="sqlite:///state.db",
        now_ms=0 if client is None else client.clock.now_ms(),
        blocks={block.id: block for block in blocks},
        claims={claim.id: claim for claim in claims},
        entries=() if client is None else tuple(client.ledger()),
        settings=policy.DEFAULTS if client is None else client.policy_settings(),
        quotas=() if client is None else tuple(client.store.list_quotas()),
        left=left_of(blocks, None),
    )


@dataclass(frozen=True)
class Served:
    """A page that is served: its address, and what a visitor needs."""

    base: str
    access: Access

    @property
    def entrance(self) -> str:
        """The address with the token."""
        return f"{self.base}/?token={self.access.token}"

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return the status and the text that a visitor with the cookie gets."""
        cookie = f"{self.access.cookie}={self.access.session}"
        request = urllib.request.Request(self.base + path, headers={"Cookie": cookie} | headers)  # noqa: S310 - our server
        try:
            with urllib.request.urlopen(request, timeout=waiting.PATIENCE_SECONDS) as answer:  # noqa: S310 - our server
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextlib.contextmanager
def serving(uri: str, results: Path) -> Iterator[Served]:
    """Serve the page of a store on a free port of this machine, in a thread."""

    def named_store() -> Source:
        with pytest.MonkeyPatch.context() as patch:  # no longer than this: other tests run while the page is served
            patch.setenv(connect.STORE, uri)
            return reader.named_store()

    with Reader(named_store) as opened:
        access = Access("127.0.0.1")
        with serving_to(AddressToken(access, opened), results) as base:
            yield Served(base, access)


@contextlib.contextmanager
def serving_to(door: Door, results: Path | None = None) -> Iterator[str]:
    """Serve the page to those whom a door lets in, on a free port of this machine, in a thread; yield its address."""
    with contextlib.closing(server.listen("127.0.0.1", 0)) as listener:
        running = uvicorn.Server(server.configuration(Site(results), door))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            waiting.until(lambda: running.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()
