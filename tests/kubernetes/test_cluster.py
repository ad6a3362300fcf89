"""Requests to an API server: pages, concurrent appends, and the translation of its errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from kubernetes import client

from privatekube import errors
from privatekube.resources import ledger, transitions
from privatekube.resources.wire import claims
from privatekube.store import kinds
from privatekube.store.kubernetes import custom_objects, ledger_chain
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders
from tests.kubeflow.servers.http_server import Call, LoopbackServer, Reply
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.store import test_contract


@pytest.fixture
def store(apiserver: ApiServer) -> Iterator[KubernetesStore]:
    opened = stores.open_empty(apiserver)
    yield opened
    opened.close()


@pytest.mark.kubernetes
def test_a_list_of_several_pages_is_complete(store: KubernetesStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_objects, "_PAGE_SIZE", 2)
    for name in "edcba":
        store.create(builders.claim(name))
    assert [claim.meta.name for claim in store.list_claims()] == list("edcba")


@pytest.mark.kubernetes
def test_the_server_keeps_who_manages_a_field_that_is_not_sent_with_a_write(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    objects = Cluster(apiserver.api())
    block = store.update_status(transitions.initialize_status(store.create(builders.block())))
    labelled = store.update(replace(block, meta=replace(block.meta, labels={"team": "ads"})))
    store.update_status(labelled)
    (document,) = objects.list_objects("privatedatablocks")
    managed = [entry["fieldsV1"] for entry in document["metadata"]["managedFields"]]
    assert any("f:initialBudget" in fields.get("f:spec", {}) for fields in managed)
    assert any("f:availableBudget" in fields.get("f:status", {}) for fields in managed)
    assert "managedFields" not in labelled.meta.other


@pytest.mark.kubernetes
def test_concurrent_appends_make_one_chain(apiserver: ApiServer) -> None:
    stores.clear(apiserver)

    def append(writer: int) -> None:
        with contextlib.closing(stores.open_store(apiserver)) as store:
            for number in range(10):
                store.append(test_contract.entry(f"{writer}-{number}"))
                store.append(test_contract.entry(f"both-{number}"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(append, range(3)))
    with contextlib.closing(stores.open_store(apiserver)) as store:
        entries = list(ledger.require_chain(store.ledger()))
    assert len(entries) == len({entry.identity for entry in entries}) == 40


@pytest.mark.kubernetes
def test_what_the_server_rejects_is_invalid_input_with_its_message(store: KubernetesStore) -> None:
    with pytest.raises(errors.InvalidInput, match=r"privatedatablocks/ns.*refused by the API server.*RFC 1123"):
        store.create(builders.block("Upper"))


@pytest.mark.kubernetes
def test_an_unknown_user_is_refused(apiserver: ApiServer) -> None:
    with (
        contextlib.closing(Cluster(apiserver.api("stranger"))) as on,
        pytest.raises(errors.InvalidInput, match="refused by the API server"),
    ):
        on.list_objects(ledger_chain.ENTRIES)


def test_an_unreachable_server_is_busy() -> None:
    configuration = client.Configuration(host="https://127.0.0.1:1")
    configuration.retries = 0
    with contextlib.closing(Cluster(client.ApiClient(configuration))) as on, pytest.raises(errors.StoreBusy):
        on.list_objects(ledger_chain.ENTRIES)


class StartingServer(LoopbackServer):
    """An API server that refuses the first request, and then answers."""

    def __init__(self, refusal: Reply) -> None:
        super().__init__()
        self.refusal = refusal

    def answer(self, call: Call) -> Reply:
        """Answer with the object that was sent."""
        return self.refusal if len(self.calls) == 1 else Reply(201, call.json)


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (
            422,
            "Invalid",
            "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: no kind of that name",
        ),
        (
            422,
            "Invalid",
            "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: failed to configure binding: paramKind "
            "kind `Quota` not yet synced to use for admission",
        ),
        (403, "Forbidden", 'privacybudgetclaims.columbia.github.com "c" is forbidden: not yet ready to handle request'),
    ],
)
def test_a_server_that_does_not_know_its_policies_yet_is_asked_again(status: int, reason: str, message: str) -> None:
    server = StartingServer(Reply(status, {"kind": "Status", "reason": reason, "message": message}))
    document = claims.to_wire(builders.claim())
    with (
        server.serving(),
        contextlib.closing(Cluster(client.ApiClient(client.Configuration(host=server.url)), patience_seconds=60)) as on,
    ):
        assert on.create(kinds.CLAIM.plural, document)["spec"] == document["spec"]
    assert len(server.calls) == 2
