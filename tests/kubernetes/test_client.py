"""Claim, consume and settle in a cluster, each with the token of its role, with a controller process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from privatekube import errors
from privatekube.client import claim_writer, cluster, connect
from privatekube.client.client import BudgetClient
from privatekube.client.cluster import Cluster
from privatekube.client.passes import Outcome
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger, transitions
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.store import test_contract

pytestmark = pytest.mark.kubernetes
As = Callable[[str], BudgetClient]
QUARTER = EpsilonDelta(0.25)
GRANT_SECONDS = waiting.PATIENCE_SECONDS
"""How long to wait for a grant or refusal that comes at once."""


@pytest.fixture
def by(apiserver: ApiServer, store: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[As]:
    """Return a function that connects as a user, as PRIVATEKUBE_STORE=kubernetes does."""
    connected: list[BudgetClient] = []

    def connecting(user: str) -> BudgetClient:
        monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig(user)))
        monkeypatch.setenv("PRIVATEKUBE_STORE", "kubernetes")
        connected.append(connect.connect())
        return connected[-1]

    yield connecting
    for client in connected:
        client.store.close()


def test_a_data_owner_waits_for_the_key_that_only_the_controller_creates(by: As, start: Starter) -> None:
    owner = by("data-owner")
    assert isinstance(owner.store, KubernetesStore)
    at_once = BudgetClient(owner.store, Cluster(owner.store, answer_timeout_seconds=0.0))
    with pytest.raises(errors.StoreBusy, match="data-owner-key: does not exist yet, and you may not create it"):
        at_once.owner_key()
    with ThreadPoolExecutor() as threads:
        key = threads.submit(owner.owner_key)
        start()
        assert key.result(waiting.PATIENCE_SECONDS) == by("data-owner").owner_key()


def test_a_claim_is_granted_opened_and_paid(by: As, start: Starter) -> None:
    start()
    by("data-owner").create_blocks([builders.block("a"), builders.block("b")])
    client = by("claimant")
    granted = client.allocate(
        "ns", "c", builders.allocate(0.25), timeout_seconds=GRANT_SECONDS, settle_after_seconds=3600
    )
    assert granted.status.acquired == {"ns/a": QUARTER, "ns/b": QUARTER}
    again = client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=GRANT_SECONDS)
    assert again.status.acquired == granted.status.acquired
    with pytest.raises(errors.AlreadyExists, match="another request"):
        client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=GRANT_SECONDS)
    client.mark_opened("ns/c")
    with pytest.raises(errors.BudgetExceeded, match="was opened"):
        client.release("ns/c")
    committed = client.consume("ns/c", mechanisms=["noise"])
    assert committed == granted.status.acquired == client.consume("ns/c")
    assert client.settle("ns/c") is Outcome.NOTHING
    waiting.until(lambda: len(client.ledger(claim_id="ns/c")) == 2)  # it is entered right after it is decided
    assert [entry.mechanisms for entry in ledger.amounts(client.ledger(claim_id="ns/c"))] == [("noise",), ("noise",)]
    assert client.verify_ledger().entries == 2


def test_the_controller_signs_the_card_of_a_claim_and_everybody_can_read_its_public_key(by: As, start: Starter) -> None:
    start()
    by("data-owner").create_blocks([builders.block("a")])
    client = by("claimant")
    client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=GRANT_SECONDS)
    client.consume("ns/c")
    signed = client.sign_card("ns/c", f"sha256:{'1' * 64}")
    assert signed.signature.is_of(signed.text)
    for user in ("viewer", "claimant", "data-owner", "nobody"):
        assert by(user).card_public_key() == signed.signature.key
    assert client.sign_card("ns/c", f"sha256:{'1' * 64}") == signed


def test_an_unreadable_ledger_entry_stops_the_statement_of_its_claim_and_nothing_else(
    by: As, start: Starter, apiserver: ApiServer
) -> None:
    controller = start()
    by("data-owner").create_blocks([builders.block("a")])
    client = by("claimant")
    for name in ("c", "d"):
        client.allocate("ns", name, builders.allocate(0.25), timeout_seconds=GRANT_SECONDS)
    entry = {**test_contract.entry("1", claim="ns/d").to_json(), "sequence": 1, "budget": {}, "digest": "sha256:1"}
    document = documents.custom_object("PrivacyLedgerEntry", "entry-000000000001", entry)
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(document))
    assert client.consume("ns/c") == client.consume("ns/d") == {"ns/a": QUARTER}
    assert client.sign_card("ns/c", f"sha256:{'1' * 64}").signature
    claim = client.get_claim("ns/d")
    client.store.update(replace(claim, spec=replace(claim.spec, card=f"sha256:{'1' * 64}")))
    waiting.until(lambda: "budget: is missing" in apiserver.kubectl("describe", "pbc", "d", "-n", "ns"), controller.log)
    assert "Unsigned" in apiserver.kubectl("get", "events", "-n", "ns")
    assert client.get_claim("ns/d").status.statement is None


@pytest.mark.parametrize(("opened", "outcome"), [(False, Outcome.RELEASED), (True, Outcome.CONSUMED)])
def test_what_a_run_left_is_settled_by_whether_its_data_was_opened(
    by: As, start: Starter, opened: bool, outcome: Outcome
) -> None:
    start()
    by("data-owner").create_blocks([builders.block("a")])
    client = by("claimant")
    client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=GRANT_SECONDS, settle_after_seconds=3600)
    if opened:
        client.mark_opened("ns/c")
    assert client.settle("ns/c") is outcome
    assert client.settle("ns/c") is Outcome.NOTHING
    assert client.settle("ns/never") is Outcome.NO_CLAIM
    waiting.until(lambda: not transitions.status_of(client.get_block("ns/a")).locks)
    status = transitions.status_of(client.get_block("ns/a"))
    assert status.committed == ({"ns/c": QUARTER} if opened else {})
    assert not status.acquired


def test_a_claim_that_waits_too_long_reports_what_is_locked_and_withdraws(by: As, start: Starter) -> None:
    start("a", "--unlock", "n=100")
    by("data-owner").create_blocks([builders.block("a")])
    client = by("claimant")
    with pytest.raises(errors.DeadlineExceeded, match=r"still locked 0.99; the policy n=100 unlocks it"):
        client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=1)
    waiting.until(lambda: not transitions.status_of(client.get_block("ns/a")).reserved)  # it is answered first
    with pytest.raises(errors.BudgetUnavailable, match="lacks budget"):
        client.allocate("ns", "d", builders.allocate(5.0), timeout_seconds=GRANT_SECONDS)
    with pytest.raises(errors.InvalidInput, match="policy: is set at the controller"):
        client.set_policy(order="fcfs")


def test_a_claim_that_waits_is_settled_by_withdrawing_it(by: As, start: Starter) -> None:
    start("a", "--unlock", "n=100")
    by("data-owner").create_blocks([builders.block("a")])
    client = by("claimant")
    with ThreadPoolExecutor(1) as pool:
        allocation = pool.submit(client.allocate, "ns", "c", builders.allocate(0.5), timeout_seconds=GRANT_SECONDS)
        waiting.until(lambda: client.store.get_claim("ns/c") is not None)
        assert client.settle("ns/c") is Outcome.RELEASED
        with pytest.raises(errors.InvalidInput, match="its time to settle is over"):
            allocation.result(waiting.PATIENCE_SECONDS)
    waiting.until(lambda: not transitions.status_of(client.get_block("ns/a")).reserved)  # the claim is answered first


def test_deleting_a_block_waits_for_its_record(by: As, start: Starter) -> None:
    start()
    owner = by("data-owner")
    owner.create_blocks([builders.block("a", digest="sha256:1")])
    by("claimant").allocate("ns", "c", builders.allocate(0.25), timeout_seconds=GRANT_SECONDS)
    owner.delete_block("ns", "a")
    assert owner.list_blocks() == []
    with pytest.raises(errors.InvalidBudget, match="its data has the budget"):
        owner.create_blocks([builders.block("a", EpsilonDelta(9.0), digest="sha256:1")])
    owner.create_blocks([builders.block("a", digest="sha256:1")])
    assert transitions.status_of(owner.get_block("ns/a")).committed == {"ns/c": QUARTER}


def test_without_a_controller_the_error_asks_for_one(by: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "Cluster", partial(Cluster, answer_timeout_seconds=1.0))
    with pytest.raises(errors.StoreBusy, match=r"no controller answered; is it running\?"):
        by("data-owner").create_blocks([builders.block("a")])
    with pytest.raises(errors.StoreBusy, match="claim ns/c: no controller answered"):
        by("claimant").allocate("ns", "c", builders.allocate(0.25), timeout_seconds=GRANT_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("max_blocks", [None, 20])
def test_a_claim_on_many_blocks_waits_longer_for_its_answer(by: As, start: Starter, max_blocks: int | None) -> None:
    controller = start()
    owner, runner = by("data-owner"), by("claimant")
    owner.create_blocks([builders.block(f"b{number}", digest=f"sha256:{number}") for number in range(20)])
    controller.stop()
    assert isinstance(runner.store, KubernetesStore)
    impatient = BudgetClient(runner.store, Cluster(runner.store, answer_timeout_seconds=0.0))
    request, began = replace(builders.allocate(0.25), max_blocks=max_blocks), time.monotonic()
    with pytest.raises(errors.StoreBusy, match="claim ns/c: no controller answered"):
        impatient.allocate("ns", "c", request, timeout_seconds=GRANT_SECONDS)
    assert time.monotonic() - began >= 20 * claim_writer.BLOCK_SECONDS


@pytest.mark.slow
def test_an_api_server_that_restarts_costs_a_client_only_time(
    by: As, start: Starter, apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_TIMEOUT_SECONDS", waiting.PATIENCE_SECONDS)
    start()
    by("data-owner").create_blocks([builders.block("a")])
    client = by("claimant")
    with ThreadPoolExecutor(1) as beside:
        restart = beside.submit(apiserver.restart)
        n_asked = 0
        while not restart.done():
            assert client.policy_settings()["unlock"] == "all"
            client.allocate("ns", f"c{n_asked}", builders.allocate(1 / 1024), timeout_seconds=GRANT_SECONDS)
            n_asked += 1
        restart.result()
    client.allocate("ns", "last", builders.allocate(1 / 1024), timeout_seconds=GRANT_SECONDS)
    assert len(client.list_claims("ns")) == n_asked + 1


def test_what_a_role_must_not_do_is_refused_in_one_line(by: As) -> None:
    with pytest.raises(errors.InvalidInput, match=r'refused by the API server: .*claimant" cannot create') as refusal:
        by("claimant").create_blocks([builders.block("a")])
    assert "\n" not in str(refusal.value)


def test_a_context_that_does_not_exist_is_named() -> None:
    with pytest.raises(errors.InvalidInput, match="has no usable cluster"):
        connect.connect("kubernetes://nowhere")
    with pytest.raises(errors.InvalidInput, match="is not a store"):
        connect.connect("etcd://here")
