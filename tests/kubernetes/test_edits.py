"""Changes that the API server refuses to every user, administrators included: the rules of the definitions."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import transitions
from privatekube.resources.block import FlowReleasing
from privatekube.resources.requests import ConsumeRequest, Request
from privatekube.resources.wire import blocks, claims
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.store import test_contract

pytestmark = pytest.mark.kubernetes
Json = dict[str, Any]


@pytest.fixture
def store(apiserver: ApiServer) -> Iterator[KubernetesStore]:
    opened = stores.open_empty(apiserver)
    yield opened
    opened.close()


def replaced(apiserver: ApiServer, document: Json, *, status: int = 1) -> str:
    """Return the output of `kubectl replace` for a changed document, which `kubectl edit` sends as well."""
    return apiserver.kubectl("replace", "-f", "-", stdin=json.dumps(document), status=status)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("initialBudget", "epsDel", "epsilon"), 99.0, "spec.initialBudget cannot be changed"),
        (("dataset",), "other", "spec.dataset cannot be changed"),
        (("dataSource",), "file:///other", "spec.dataSource cannot be changed"),
        (("dataSource",), None, "spec.dataSource cannot be changed"),
        (("dimensions", 0, "numericValue"), "7", "spec.dimensions cannot be changed"),
        (("dimensions",), None, "spec.dimensions cannot be changed"),
        (("initialBudget", "renyi"), [{"alpha": 2, "epsilon": 1}], "either epsDel or renyi"),
        (("releaseMode",), "never", "releaseMode: Unsupported value"),
    ],
)
def test_what_a_block_declares_stays(
    apiserver: ApiServer, store: KubernetesStore, path: tuple[str | int, ...], value: object, message: str
) -> None:
    document = copy.deepcopy(blocks.to_wire(store.create(builders.block(day=3))))
    *parents, last = path
    place: Any = document["spec"]
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert message in replaced(apiserver, document)


def test_a_schedule_may_change_until_it_has_started(apiserver: ApiServer, store: KubernetesStore) -> None:
    made = store.create(builders.block())
    made = store.update(replace(made, spec=replace(made.spec, flow_releasing=FlowReleasing(duration_ms=1000))))
    started = transitions.initialize_status(made)
    started = replace(started, status=replace(transitions.status_of(started), last_release_ms=5))
    document = blocks.to_wire(store.update_status(started))
    document["spec"]["flowReleasingOption"] = {"duration": 2000}
    assert "has started and cannot be changed" in replaced(apiserver, document)
    del document["spec"]["flowReleasingOption"]
    assert "has started and cannot be changed" in replaced(apiserver, document)


def test_requests_are_only_ever_appended(apiserver: ApiServer, store: KubernetesStore) -> None:
    document = claims.to_wire(store.create(builders.claim("c", builders.allocate(0.1), builders.allocate(0.2))))
    for requests in (document["spec"]["requests"][:1], document["spec"]["requests"][::-1], None):
        changed = copy.deepcopy(document)
        if requests is None:
            del changed["spec"]["requests"]
        else:
            changed["spec"]["requests"] = requests
        assert "spec.requests is append-only" in replaced(apiserver, changed)
    more = Request("2", ConsumeRequest({"ns/b": EpsilonDelta(0.1)}))
    document["spec"]["requests"].append(claims.to_wire(_with(more))["spec"]["requests"][0])
    replaced(apiserver, document, status=0)


def _with(request: Request) -> Any:
    claim = builders.claim()
    return replace(claim, spec=replace(claim.spec, requests=(request,)))


def test_opened_data_stays_opened(apiserver: ApiServer, store: KubernetesStore) -> None:
    made = store.create(builders.claim())
    document = claims.to_wire(store.update(replace(made, spec=replace(made.spec, data_opened=True))))
    for value in (False, None):
        document["spec"]["dataOpened"] = value
        assert "spec.dataOpened cannot be taken back" in replaced(apiserver, document)


def test_a_request_asks_for_one_thing(apiserver: ApiServer) -> None:
    document = claims.to_wire(builders.claim())
    document["spec"]["requests"][0]["consumeRequest"] = {"consume": {}}
    refused = apiserver.kubectl("create", "-f", "-", stdin=json.dumps(document), status=1)
    assert "give one of allocateRequest, consumeRequest, releaseRequest and registerRequest" in refused


def test_the_ledger_is_not_changed(apiserver: ApiServer, store: KubernetesStore) -> None:
    store.append(test_contract.entry("1"))
    changed = ["patch", "ple", "entry-000000000001", "--type=merge", "-p", '{"spec": {"claim": "ns/other"}}']
    assert "the ledger is append-only" in apiserver.kubectl(*changed, status=1)


def test_a_status_is_not_written_with_the_rest(apiserver: ApiServer, store: KubernetesStore) -> None:
    made = store.create(builders.block())
    written = store.update_status(transitions.initialize_status(made))
    document = blocks.to_wire(written)
    document["status"]["availableBudget"] = {"epsDel": {"epsilon": 99.0, "delta": 0.0}}
    replaced(apiserver, document, status=0)
    stored = store.get_block("ns/b")
    assert stored is not None
    assert stored.status == written.status
