"""An adversary with a real token and a role of the manifests: nothing of others can be opened, settled or forged."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.responses import ResponseState
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire import blocks, claims
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders
from tests.kubernetes import stores
from tests.kubernetes.apiserver import MEDDLER, RIVAL, USERS_NAMESPACE, ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered, wait_until
from tests.reconcile.harness import Plane
from tests.store import test_contract

pytestmark = pytest.mark.kubernetes
Json = dict[str, Any]

EPOCH = "privacy.columbia.github.com/controller-epoch"
FORBIDDEN = "is forbidden: User"
CLAIM, BLOCK = ("pbc", "c", "-n", "ns"), ("pb", "b", "-n", "ns")
CONSUME = {"identifier": "settle", "consumeRequest": {"consume": {"ns/b": {"epsDel": {"epsilon": 0.1}}}}}
RELEASE = {"identifier": "settle", "releaseRequest": {"release": {"ns/b": {"epsDel": {"epsilon": 0.1}}}}}
REGISTER = {"identifier": "r", "registerRequest": {"step": "dp_train", "outputs": [f"sha256:{'1' * 64}"]}}


@pytest.fixture
def plane(apiserver: ApiServer) -> Iterator[Plane]:
    """A block `b` and a claim `c` of the claimant, granted epsilon 0.1."""
    store = stores.open_empty(apiserver)
    plane = Plane(store)
    store.create(builders.block())
    apply(apiserver, claims.to_wire(builders.claim()), user="claimant")
    plane.run()
    assert plane.states("c") == ["success"]
    yield plane
    store.close()


def apply(apiserver: ApiServer, document: Json, *, user: str, status: int = 0) -> str:
    return apiserver.kubectl("create", "-f", "-", user=user, stdin=json.dumps(document), status=status)


def patch(apiserver: ApiServer, change: Json | list[Json], *, user: str, of: tuple[str, ...] = CLAIM) -> str:
    """Try to change an object, and return what the server said; empty if it accepted the change."""
    kind = "json" if isinstance(change, list) else "merge"
    try:
        apiserver.kubectl("patch", *of, f"--type={kind}", "-p", json.dumps(change), user=user)
    except AssertionError as refused:
        return str(refused)
    return ""


def appended(request: Json) -> list[Json]:
    return [{"op": "add", "path": "/spec/requests/-", "value": request}]


CHANGES_OF_A_CLAIM: dict[str, Json | list[Json]] = {
    "open": {"spec": {"dataOpened": True}},
    "consume": appended(CONSUME),
    "release": appended(RELEASE),
    "register": appended(REGISTER),
    "settle": {"spec": {"settleAfter": {"seconds": 1, "time": 0}}},
    "sign a card": {"spec": {"privacyCard": f"sha256:{'1' * 64}"}},
    "outrank": {"spec": {"priority": 9}},
    "have it deleted": {
        "metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}]}
    },
    "label": {"metadata": {"labels": {"a": "b"}}},
}


@pytest.mark.parametrize("change", CHANGES_OF_A_CLAIM.values(), ids=CHANGES_OF_A_CLAIM)
def test_a_claimant_changes_nothing_of_the_claim_of_another(
    apiserver: ApiServer, plane: Plane, change: Json | list[Json]
) -> None:
    before = plane.claim("c")
    refused = patch(apiserver, change, user=RIVAL)
    assert f"the claim belongs to system:serviceaccount:{USERS_NAMESPACE}:claimant" in refused
    assert plane.claim("c") == before


def test_its_creator_opens_pays_and_settles_a_claim(apiserver: ApiServer, plane: Plane) -> None:
    for name in ("open", "register", "consume", "settle"):
        assert patch(apiserver, CHANGES_OF_A_CLAIM[name], user="claimant") == ""
    plane.run()
    assert plane.status("b").committed == {"ns/c": EpsilonDelta(0.1)}


def test_an_administrator_settles_the_claim_of_another_but_takes_no_payment_back(
    apiserver: ApiServer, plane: Plane
) -> None:
    assert patch(apiserver, CHANGES_OF_A_CLAIM["open"], user="claimant") == ""
    assert "cannot be taken back" in patch(apiserver, {"spec": {"dataOpened": False}}, user="administrator")
    assert "append-only" in patch(apiserver, {"spec": {"requests": []}}, user="administrator")
    assert patch(apiserver, CHANGES_OF_A_CLAIM["settle"], user="administrator") == ""
    plane.run()
    assert plane.status("b").committed == {"ns/c": EpsilonDelta(0.1)}


@pytest.fixture(scope="module")
def pipelines(apiserver: ApiServer) -> tuple[str, str]:
    """Two service accounts of the namespace of the claims, with the claimant role."""
    users = ("trainer", "evaluator")
    for user in users:
        apiserver.add_user(user, namespace="ns")
        binding = ("create", "rolebinding", user, "--clusterrole=privatekube-claimant", f"--serviceaccount=ns:{user}")
        apiserver.kubectl(*binding, "-n", "ns")
    return users


def test_the_service_accounts_of_a_namespace_share_its_claims_but_not_those_of_others(
    apiserver: ApiServer, plane: Plane, pipelines: tuple[str, str]
) -> None:
    trainer, evaluator = pipelines
    apply(apiserver, claims.to_wire(builders.claim("of-pipelines")), user=trainer)
    opened = CHANGES_OF_A_CLAIM["open"]
    assert "the claim belongs to" in patch(apiserver, opened, user=RIVAL, of=("pbc", "of-pipelines", "-n", "ns"))
    assert patch(apiserver, opened, user=evaluator, of=("pbc", "of-pipelines", "-n", "ns")) == ""
    assert "the claim belongs to" in patch(apiserver, opened, user=evaluator)


def test_a_claim_names_its_creator_whatever_its_author_writes(apiserver: ApiServer, plane: Plane) -> None:
    document = claims.to_wire(builders.claim("forged"))
    document["metadata"]["annotations"] = {documents.CREATED_BY: f"system:serviceaccount:{USERS_NAMESPACE}:claimant"}
    apply(apiserver, document, user=RIVAL)
    name = f"system:serviceaccount:{USERS_NAMESPACE}:{RIVAL}"
    assert plane.claim("forged").meta.annotations[documents.CREATED_BY] == name
    for user, change in ((RIVAL, {documents.CREATED_BY: "another"}), ("administrator", {documents.CREATED_BY: None})):
        refused = patch(apiserver, {"metadata": {"annotations": change}}, user=user, of=("pbc", "forged", "-n", "ns"))
        assert f"{documents.CREATED_BY} cannot be changed" in refused


@pytest.fixture
def older(apiserver: ApiServer) -> Iterator[None]:
    """An API server that does not record who creates a claim, as before Kubernetes 1.36."""
    base = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
    apiserver.kubectl("delete", "-f", str(base / "claim-creator.yaml"))
    wait_until(lambda: not apiserver.records_creators(), 30)
    yield
    apiserver.kubectl("apply", "--server-side", "-k", str(base))
    apiserver.wait_for_admission_policies()


def test_on_an_older_server_the_author_of_a_claim_states_its_creator_and_cannot_lie(
    apiserver: ApiServer, plane: Plane, older: None
) -> None:
    unstated = claims.to_wire(builders.claim("unstated"))
    name = f"system:serviceaccount:{USERS_NAMESPACE}:{RIVAL}"
    assert f"{documents.CREATED_BY} must be {name}" in apply(apiserver, unstated, user=RIVAL, status=1)
    with contextlib.closing(apiserver.api("claimant")) as api:
        created = KubernetesStore(Cluster(api), CoreObjects(api)).create(builders.claim("stated"))
    unstated["metadata"]["annotations"] = {documents.CREATED_BY: created.meta.annotations[documents.CREATED_BY]}
    assert f"{documents.CREATED_BY} must be {name}" in apply(apiserver, unstated, user=RIVAL, status=1)
    assert "the claim belongs to" in patch(
        apiserver, CHANGES_OF_A_CLAIM["open"], user=RIVAL, of=("pbc", "stated", "-n", "ns")
    )


def test_opened_data_stays_opened_though_the_spec_is_removed_and_added_again(
    apiserver: ApiServer, plane: Plane
) -> None:
    assert patch(apiserver, CHANGES_OF_A_CLAIM["open"], user="claimant") == ""
    document = claims.to_wire(plane.claim("c"))
    closed = {**document["spec"], "dataOpened": False}
    without_requests = {key: value for key, value in document["spec"].items() if key != "requests"}
    remove, add = {"op": "remove", "path": "/spec"}, {"op": "add", "path": "/spec", "value": closed}
    assert "spec: Required value" in patch(apiserver, [remove], user="claimant")
    assert "cannot be taken back" in patch(apiserver, [remove, add], user="claimant")
    assert "append-only" in patch(apiserver, [remove, {**add, "value": without_requests}], user="claimant")
    document.pop("spec")
    assert "spec: Required value" in _replaced(apiserver, document)
    assert plane.claim("c").spec.data_opened


def _replaced(apiserver: ApiServer, document: Json) -> str:
    return apiserver.kubectl("replace", "-f", "-", user="claimant", stdin=json.dumps(document), status=1)


@pytest.mark.parametrize(
    "annotations",
    [
        {EPOCH: "99999999999999999999"},
        {EPOCH: "2147483646"},
        {"privacy.columbia.github.com/anything": "1"},
        {documents.CREATED: "\u00b2"},
        {documents.CREATED: "9" * 32},
    ],
)
def test_annotations_of_the_controller_cannot_be_forged(
    apiserver: ApiServer, plane: Plane, annotations: dict[str, str]
) -> None:
    for user, document in (
        ("claimant", claims.to_wire(builders.claim("forged"))),
        ("data-owner", blocks.to_wire(builders.block("forged"))),
    ):
        document["metadata"]["annotations"] = annotations
        assert "metadata.annotations" in apply(apiserver, document, user=user, status=1)
    refused = patch(apiserver, {"metadata": {"annotations": annotations}}, user="claimant")
    assert "can be changed by the controller only" in refused


def test_what_the_controller_wrote_beside_a_claim_cannot_be_removed(apiserver: ApiServer, plane: Plane) -> None:
    apiserver.kubectl("annotate", *CLAIM, f"{EPOCH}=3", user="controller")
    for change in ({EPOCH: None}, {EPOCH: "2"}):
        refused = patch(apiserver, {"metadata": {"annotations": change}}, user="claimant")
        assert "can be changed by the controller only" in refused


@pytest.mark.parametrize("user", ["viewer", "claimant", "data-owner", "administrator", MEDDLER])
def test_no_role_removes_the_finalizer_that_has_spent_budget_recorded(
    apiserver: ApiServer, plane: Plane, user: str
) -> None:
    refused = patch(apiserver, {"metadata": {"finalizers": None}}, user=user, of=BLOCK)
    assert ("metadata.finalizers: can be changed by the controller only" if user == MEDDLER else FORBIDDEN) in refused
    assert documents.FINALIZER in plane.store.list_blocks()[0].meta.other["finalizers"]


def test_a_claimant_adds_no_finalizer_and_no_owner_to_its_own_claim(apiserver: ApiServer, plane: Plane) -> None:
    for name, change in (
        ("finalizers", {"finalizers": ["example.org/keep"]}),
        ("ownerReferences", CHANGES_OF_A_CLAIM["have it deleted"]["metadata"]),  # type: ignore[call-overload]
    ):
        refused = patch(apiserver, {"metadata": change}, user="claimant")
        assert f"metadata.{name}: can be changed by the controller only" in refused


RECORDS = {
    "privacyledgerentries": "the ledger and the records are written by the controller only",
    "retiredprivatedata": "the ledger and the records are written by the controller only",
}


@pytest.fixture
def recorded(apiserver: ApiServer, plane: Plane) -> dict[str, Json]:
    """A ledger entry, a record of deleted data and an identity, as the server has them."""
    store = plane.store
    store.append(test_contract.entry("1"))
    store.retire(RetiredData("d", "sha256:1", "ns/b", EpsilonDelta(1.0), {"ns/c": EpsilonDelta(0.1)}))
    return {plural: json.loads(apiserver.kubectl("get", plural, "-o", "json"))["items"][0] for plural in RECORDS}


@pytest.mark.parametrize("user", ["viewer", "claimant", "data-owner", "administrator", MEDDLER])
def test_no_role_forges_changes_or_deletes_ledger_and_records(
    apiserver: ApiServer, recorded: dict[str, Json], user: str
) -> None:
    for plural, document in recorded.items():
        forged = {**document, "metadata": {"name": "forged"}}
        name = document["metadata"]["name"]
        refusals = {
            "create": apply(apiserver, forged, user=user, status=1),
            "change": patch(apiserver, {"metadata": {"labels": {"a": "b"}}}, user=user, of=(plural, name)),
            "delete": apiserver.kubectl("delete", plural, name, user=user, status=1),
        }
        for said in refusals.values():
            assert (RECORDS[plural] in said or "not deleted" in said) if user == MEDDLER else FORBIDDEN in said


def test_no_role_writes_a_status(apiserver: ApiServer, plane: Plane) -> None:
    for user in ("viewer", "claimant", "data-owner", "administrator", MEDDLER):
        for of in (CLAIM, BLOCK):
            refused = patch(apiserver, {"status": {"state": "x"}}, user=user, of=(*of, "--subresource=status"))
            assert FORBIDDEN in refused


@pytest.mark.parametrize("named", [None, "ns/b"])
def test_a_claim_gets_nothing_of_another_namespace(apiserver: ApiServer, plane: Plane, named: str | None) -> None:
    document = claims.to_wire(builders.claim("abroad"))
    document["metadata"]["namespace"] = "elsewhere"
    if named is not None:
        demand = document["spec"]["requests"][0]["allocateRequest"]["expectedBudget"]
        demand["budgetMap"] = {named: demand.pop("constant")}
    apply(apiserver, document, user="claimant")
    plane.run()
    claim = plane.store.get_claim("elsewhere/abroad")
    assert claim is not None
    assert [response.state for response in claim.status.responses] == [ResponseState.FAILURE]
    assert set(plane.status("b").acquired) == {"ns/c"}


def test_no_claim_holds_budget_longer_than_the_controller_allows(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start("a", "--unlock", "all", "--settle-within", "1s")
    store.create(builders.block())
    apply(apiserver, claims.to_wire(builders.claim("silent")), user="claimant")
    stubborn = claims.to_wire(builders.claim("stubborn"))
    stubborn["spec"]["settleAfter"] = {"seconds": 316_224_000, "time": 253_402_300_799_999}
    apply(apiserver, stubborn, user="claimant")
    for name in ("silent", "stubborn"):
        wait_until(partial(is_answered, store, name, 1), 30, controller.log)
        assert Plane(store).states(name) == ["success", "success"]
    assert not Plane(store).status("b").acquired


@pytest.mark.parametrize(
    ("settle_after", "bound"),
    [({"seconds": 10**9, "time": 0}, "316224000"), ({"seconds": 1, "time": 10**17}, "253402300799999")],
)
def test_a_time_to_settle_that_no_calendar_has_is_refused(
    apiserver: ApiServer, plane: Plane, settle_after: Json, bound: str
) -> None:
    assert f"less than or equal to {bound}" in patch(
        apiserver, {"spec": {"settleAfter": settle_after}}, user="claimant"
    )


HUGE_BUDGET = {"renyi": [{"alpha": 2 + order, "epsilon": 0.1} for order in range(65)]}
SMALL_BUDGET = {"epsDel": {"epsilon": 0.1}}


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (
            {"allocateRequest": {"dataset": "d", "expectedBudget": {"constant": HUGE_BUDGET}}},
            "must have at most 64 items",
        ),
        ({"allocateRequest": {"dataset": "d" * 254}}, "may not be more than 253"),
        ({"consumeRequest": {"consume": {"b" * 508: SMALL_BUDGET}}}, "name a block as namespace/name"),
        ({"releaseRequest": {"release": {"b" * 508: SMALL_BUDGET}}}, "name a block as namespace/name"),
        (
            {"consumeRequest": {"consume": {f"ns/{n}": SMALL_BUDGET for n in range(1025)}}},
            "must have at most 1024 items",
        ),
        ({"consumeRequest": {"mechanisms": ["noise"] * 65}}, "must have at most 64 items"),
    ],
)
def test_a_request_beyond_the_bounds_is_refused(apiserver: ApiServer, request_: Json, refusal: str) -> None:
    document = claims.to_wire(builders.claim("large"))
    document["spec"]["requests"] = [{"identifier": "1", **request_}]
    assert refusal in apply(apiserver, document, user="claimant", status=1)
