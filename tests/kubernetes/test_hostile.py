"""An adversary with the role of a claimant: nothing of others can be opened, paid, settled or held for ever."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import meta
from privatekube.resources.requester import Requester
from privatekube.resources.responses import ResponseState
from privatekube.resources.wire import claims
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import RIVAL, USERS_NAMESPACE, ApiServer
from tests.kubernetes.attacks import Json
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes

CONSUME = {"identifier": "settle", "consumeRequest": {"consume": {"ns/b": {"epsDel": {"epsilon": 0.1}}}}}
RELEASE = {"identifier": "settle", "releaseRequest": {"release": {"ns/b": {"epsDel": {"epsilon": 0.1}}}}}
REGISTER = {"identifier": "r", "registerRequest": {"step": "dp_train", "outputs": [f"sha256:{'1' * 64}"]}}

CHANGES_OF_A_CLAIM: dict[str, Json | list[Json]] = {
    "open": {"spec": {"dataOpened": True}},
    "consume": attacks.appended(CONSUME),
    "release": attacks.appended(RELEASE),
    "register": attacks.appended(REGISTER),
    "settle": {"spec": {"settleAfter": {"seconds": 1, "time": 0}}},
    "sign a card": {"spec": {"privacyCard": f"sha256:{'1' * 64}"}},
    "open what it released": {"spec": {"openReleases": True}},
    "outrank": {"spec": {"priority": 9}},
    "label": {"metadata": {"labels": {"a": "b"}}},
}


@pytest.mark.parametrize("change", CHANGES_OF_A_CLAIM.values(), ids=CHANGES_OF_A_CLAIM)
def test_a_claimant_changes_nothing_of_the_claim_of_another(
    apiserver: ApiServer, granted: Plane, change: Json | list[Json]
) -> None:
    before = granted.claim("c")
    refused = attacks.patch(apiserver, change, user=RIVAL)
    assert f"the claim belongs to system:serviceaccount:{USERS_NAMESPACE}:claimant" in refused
    assert granted.claim("c") == before


def test_a_claimant_has_no_claim_of_another_deleted_by_an_owner_that_does_not_exist(
    apiserver: ApiServer, granted: Plane
) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}
    assert "denied request" in attacks.patch(apiserver, {"metadata": {"ownerReferences": [owner]}}, user=RIVAL)
    assert not granted.claim("c").meta.other.get("ownerReferences")


def test_its_creator_opens_pays_and_settles_a_claim(apiserver: ApiServer, granted: Plane) -> None:
    for name in ("open", "register", "consume", "settle"):
        assert attacks.patch(apiserver, CHANGES_OF_A_CLAIM[name], user="claimant") == ""
    granted.run()
    assert granted.status("b").committed == {"ns/c": EpsilonDelta(0.1)}


def test_an_administrator_settles_the_claim_of_another_but_takes_no_payment_back(
    apiserver: ApiServer, granted: Plane
) -> None:
    assert attacks.patch(apiserver, CHANGES_OF_A_CLAIM["open"], user="claimant") == ""
    assert "cannot be taken back" in attacks.patch(apiserver, {"spec": {"dataOpened": False}}, user="administrator")
    assert "append-only" in attacks.patch(apiserver, {"spec": {"requests": []}}, user="administrator")
    assert attacks.patch(apiserver, CHANGES_OF_A_CLAIM["settle"], user="administrator") == ""
    granted.clock.time_ms += 1000
    granted.run()
    assert granted.status("b").committed == {"ns/c": EpsilonDelta(0.1)}


def test_the_controller_asks_for_nothing_in_the_name_of_a_claim(apiserver: ApiServer, granted: Plane) -> None:
    for name in ("open", "consume", "settle"):
        assert "the claim belongs to" in attacks.patch(apiserver, CHANGES_OF_A_CLAIM[name], user="controller")
    assert attacks.patch(apiserver, CHANGES_OF_A_CLAIM["label"], user="controller") == ""


@pytest.fixture(scope="session")
def pipelines(apiserver: ApiServer) -> tuple[str, str]:
    """Two service accounts of the namespace of the claims, with the claimant role."""
    users = ("trainer", "evaluator")
    for user in users:
        apiserver.add_user(user, namespace="ns")
        binding = ("create", "rolebinding", user, "--clusterrole=privatekube-claimant", f"--serviceaccount=ns:{user}")
        apiserver.kubectl(*binding, "-n", "ns")
        waiting.until(partial(apiserver.may, user, "create", "privacybudgetclaims.columbia.github.com", "-n=ns"))
    return users


def test_the_service_accounts_of_a_namespace_share_its_claims_but_not_those_of_others(
    apiserver: ApiServer, granted: Plane, pipelines: tuple[str, str]
) -> None:
    trainer, evaluator = pipelines
    attacks.create(apiserver, claims.to_wire(builders.claim("of-pipelines")), user=trainer)
    opened = CHANGES_OF_A_CLAIM["open"]
    assert "the claim belongs to" in attacks.patch(
        apiserver, opened, user=RIVAL, of=("pbc", "of-pipelines", "-n", "ns")
    )
    assert attacks.patch(apiserver, opened, user=evaluator, of=("pbc", "of-pipelines", "-n", "ns")) == ""
    assert "the claim belongs to" in attacks.patch(apiserver, opened, user=evaluator)


def test_a_claim_names_its_creator_and_no_other(apiserver: ApiServer, granted: Plane) -> None:
    name = f"system:serviceaccount:{USERS_NAMESPACE}:{RIVAL}"
    document = claims.to_wire(builders.claim("by-hand"))
    for forged in (granted.claim("c").meta.annotations[meta.CREATED_BY], ""):
        document["metadata"]["annotations"] = {meta.CREATED_BY: forged}
        assert f"{meta.CREATED_BY} must be {name}" in attacks.create(apiserver, document, user=RIVAL, status=1)
    del document["metadata"]["annotations"]
    attacks.create(apiserver, document, user=RIVAL)
    assert granted.claim("by-hand").meta.annotations[meta.CREATED_BY] == name
    for user, change in ((RIVAL, {meta.CREATED_BY: "another"}), ("administrator", {meta.CREATED_BY: None})):
        refused = attacks.patch(
            apiserver, {"metadata": {"annotations": change}}, user=user, of=("pbc", "by-hand", "-n", "ns")
        )
        assert "denied request: metadata.annotations" in refused


@pytest.fixture
def older(apiserver: ApiServer) -> Iterator[None]:
    """An API server that does not record who creates a claim, as before Kubernetes 1.36."""
    base = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
    apiserver.kubectl("delete", "-f", str(base / "claim-creator.yaml"))
    waiting.until(lambda: not apiserver.records_creators())
    yield
    apiserver.kubectl("apply", "--server-side", "-k", str(base))
    apiserver.wait_for_admission_policies()


def test_on_an_older_server_the_author_of_a_claim_states_its_creator_and_cannot_lie(
    apiserver: ApiServer, granted: Plane, older: None
) -> None:
    unstated = claims.to_wire(builders.claim("unstated"))
    name = f"system:serviceaccount:{USERS_NAMESPACE}:{RIVAL}"
    assert f"{meta.CREATED_BY} must be {name}" in attacks.create(apiserver, unstated, user=RIVAL, status=1)
    with contextlib.closing(apiserver.api("claimant")) as api:
        created = KubernetesStore(Cluster(api), CoreObjects(api)).create(builders.claim("stated"))
    unstated["metadata"]["annotations"] = {meta.CREATED_BY: created.meta.annotations[meta.CREATED_BY]}
    assert f"{meta.CREATED_BY} must be {name}" in attacks.create(apiserver, unstated, user=RIVAL, status=1)
    assert "the claim belongs to" in attacks.patch(
        apiserver, CHANGES_OF_A_CLAIM["open"], user=RIVAL, of=("pbc", "stated", "-n", "ns")
    )


def test_opened_data_stays_opened_though_the_spec_is_removed_and_added_again(
    apiserver: ApiServer, granted: Plane
) -> None:
    assert attacks.patch(apiserver, CHANGES_OF_A_CLAIM["open"], user="claimant") == ""
    document = claims.to_wire(granted.claim("c"))
    closed = {**document["spec"], "dataOpened": False}
    without_requests = {key: value for key, value in document["spec"].items() if key != "requests"}
    remove, add = {"op": "remove", "path": "/spec"}, {"op": "add", "path": "/spec", "value": closed}
    assert "spec: Required value" in attacks.patch(apiserver, [remove], user="claimant")
    assert "cannot be taken back" in attacks.patch(apiserver, [remove, add], user="claimant")
    assert "append-only" in attacks.patch(apiserver, [remove, {**add, "value": without_requests}], user="claimant")
    document.pop("spec")
    assert "spec: Required value" in _replaced(apiserver, document)
    assert granted.claim("c").spec.data_opened


def test_opened_data_stays_opened_though_its_author_applies_the_claim_without_it(
    apiserver: ApiServer, granted: Plane
) -> None:
    document = claims.to_wire(builders.claim("applied"))
    applying = ("apply", "--server-side", "-f", "-")
    document["spec"]["dataOpened"] = True
    apiserver.kubectl(*applying, user="claimant", stdin=json.dumps(document))
    for changed, fault in (({"dataOpened": False}, "cannot be taken back"), ({"requests": []}, "append-only")):
        spec = {**document["spec"], **changed}
        refused = apiserver.kubectl(*applying, user="claimant", stdin=json.dumps({**document, "spec": spec}), status=1)
        assert fault in refused
    del document["spec"]["dataOpened"]
    assert "cannot be taken back" in apiserver.kubectl(*applying, user="claimant", stdin=json.dumps(document), status=1)


def _replaced(apiserver: ApiServer, document: Json) -> str:
    return apiserver.kubectl("replace", "-f", "-", user="claimant", stdin=json.dumps(document), status=1)


@pytest.mark.parametrize("named", [None, "ns/b"])
def test_a_claim_gets_nothing_of_another_namespace(apiserver: ApiServer, granted: Plane, named: str | None) -> None:
    document = claims.to_wire(builders.claim("abroad"))
    document["metadata"]["namespace"] = "elsewhere"
    if named is not None:
        demand = document["spec"]["requests"][0]["allocateRequest"]["expectedBudget"]
        demand["budgetMap"] = {named: demand.pop("constant")}
    attacks.create(apiserver, document, user="claimant")
    granted.run()
    claim = granted.store.get_claim("elsewhere/abroad")
    assert claim is not None
    assert [response.state for response in claim.status.responses] == [ResponseState.FAILURE]
    assert set(granted.status("b").acquired) == {"ns/c"}


def test_no_claim_holds_budget_longer_than_the_controller_allows(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start("a", "--unlock", "all", "--settle-within", "1s")
    store.create(builders.block())
    attacks.create(apiserver, claims.to_wire(builders.claim("silent")), user="claimant")
    stubborn = claims.to_wire(builders.claim("stubborn"))
    stubborn["spec"]["settleAfter"] = {"seconds": 316_224_000, "time": 253_402_300_799_999}
    attacks.create(apiserver, stubborn, user="claimant")
    named = claims.to_wire(builders.claim("named"))
    named["spec"]["requests"].append({**RELEASE, "identifier": "settle-after"})
    named["spec"]["requests"][-1]["releaseRequest"] = {"release": {"ns/other": {"epsDel": {"epsilon": 0.1}}}}
    attacks.create(apiserver, named, user="claimant")
    full = claims.to_wire(builders.claim("full"))
    full["spec"]["requests"] += [named["spec"]["requests"][-1]] * 255
    attacks.create(apiserver, full, user="claimant")
    plane = Plane(store)
    for name in ("silent", "stubborn", "named", "full"):
        waiting.until(partial(is_answered, store, name), controller.log)
        assert plane.states(name)[0] == "success"
    waiting.until(lambda: not plane.status("b").acquired, controller.log)
    assert not plane.status("b").committed


def test_a_claim_states_who_requests_it_and_neither_that_nor_why_is_ever_changed(
    apiserver: ApiServer, granted: Plane
) -> None:
    me, other = (f"system:serviceaccount:{USERS_NAMESPACE}:{user}" for user in (RIVAL, "claimant"))
    document = claims.to_wire(builders.claim("stated"))
    document["spec"] |= {"requestedBy": other, "team": "ads", "purpose": "clicks"}
    assert f"spec.requestedBy: must be {me}" in attacks.create(apiserver, document, user=RIVAL, status=1)
    for name, value in (("team", "a b"), ("team", "a" * 64), ("purpose", "a\x1b[2J"), ("purpose", "\u202eabc")):
        wrong = {**document, "spec": {**document["spec"], "requestedBy": me, name: value}}
        assert f"spec.{name}" in attacks.create(apiserver, wrong, user=RIVAL, status=1)
    del document["spec"]["requestedBy"]
    attacks.create(apiserver, document, user=RIVAL)
    assert granted.claim("stated").requester == Requester(me, "ads", "clicks")
    changes = [("requestedBy", other), ("requestedBy", None), ("team", "other"), ("team", None), ("purpose", "other")]
    for name, changed in changes:
        for user in (RIVAL, "administrator"):
            refused = attacks.patch(apiserver, {"spec": {name: changed}}, user=user, of=("pbc", "stated", "-n", "ns"))
            assert name in refused
            assert "create another claim" in refused
    assert granted.claim("stated").requester == Requester(me, "ads", "clicks")
