"""An adversary with a role of the manifests: what the controller wrote cannot be forged, changed or removed."""

from __future__ import annotations

import json

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.data_identity import DataIdentity, DaySketch
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire import blocks, claims
from privatekube.store.kubernetes import documents
from tests import builders
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import MEDDLER, ApiServer
from tests.kubernetes.attacks import Json
from tests.reconcile.harness import Plane
from tests.store import test_contract

pytestmark = pytest.mark.kubernetes

EPOCH = "privacy.columbia.github.com/controller-epoch"
USERS = ("viewer", "claimant", "data-owner", "administrator", MEDDLER)
OWNERS = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}]


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
    apiserver: ApiServer, granted: Plane, annotations: dict[str, str]
) -> None:
    for user, document in (
        ("claimant", claims.to_wire(builders.claim("forged"))),
        ("data-owner", blocks.to_wire(builders.block("forged"))),
    ):
        document["metadata"]["annotations"] = annotations
        assert "metadata.annotations" in attacks.create(apiserver, document, user=user, status=1)
    refused = attacks.patch(apiserver, {"metadata": {"annotations": annotations}}, user="claimant")
    assert "can be changed by the controller only" in refused


def test_what_the_controller_wrote_beside_a_claim_cannot_be_removed(apiserver: ApiServer, granted: Plane) -> None:
    apiserver.kubectl("annotate", *attacks.CLAIM, f"{EPOCH}=3", user="controller")
    for change in ({EPOCH: None}, {EPOCH: "2"}):
        refused = attacks.patch(apiserver, {"metadata": {"annotations": change}}, user="claimant")
        assert "can be changed by the controller only" in refused


@pytest.mark.parametrize("user", USERS)
def test_no_role_removes_the_finalizer_that_has_spent_budget_recorded(
    apiserver: ApiServer, granted: Plane, user: str
) -> None:
    refused = attacks.patch(apiserver, {"metadata": {"finalizers": None}}, user=user, of=attacks.BLOCK)
    assert (
        "metadata.finalizers: can be changed by the controller only" if user == MEDDLER else attacks.FORBIDDEN
    ) in refused
    assert documents.FINALIZER in granted.store.list_blocks()[0].meta.other["finalizers"]


def test_a_claimant_adds_no_finalizer_and_no_owner_to_its_own_claim(apiserver: ApiServer, granted: Plane) -> None:
    for name, change in (
        ("finalizers", {"finalizers": ["example.org/keep"]}),
        ("ownerReferences", {"ownerReferences": OWNERS}),
    ):
        refused = attacks.patch(apiserver, {"metadata": change}, user="claimant")
        assert f"metadata.{name}: can be changed by the controller only" in refused


@pytest.mark.parametrize(
    "change", [{"finalizers": ["example.org/keep"]}, {"finalizers": [documents.FINALIZER]}, {"ownerReferences": OWNERS}]
)
def test_a_claim_is_created_with_no_owner_and_no_finalizer(
    apiserver: ApiServer, granted: Plane, change: dict[str, Json]
) -> None:
    """A claim with an owner is deleted with it: what it was granted, and has opened, would return to its block."""
    document = claims.to_wire(builders.claim("forged"))
    document["metadata"] |= change
    (name,) = change
    assert f"metadata.{name}: a new object may have none" in attacks.create(
        apiserver, document, user="claimant", status=1
    )


def test_a_block_is_created_with_no_owner_and_no_finalizer_but_that_of_the_controller(
    apiserver: ApiServer, granted: Plane
) -> None:
    document = blocks.to_wire(documents.with_finalizer(builders.block("another")))
    foreign = {**document, "metadata": {**document["metadata"], "finalizers": ["example.org/keep"]}}
    assert "metadata.finalizers" in attacks.create(apiserver, foreign, user="data-owner", status=1)
    owned = {**document, "metadata": {**document["metadata"], "ownerReferences": OWNERS}}
    assert "metadata.ownerReferences" in attacks.create(apiserver, owned, user="data-owner", status=1)
    attacks.create(apiserver, document, user="data-owner")


RECORDS = {
    "privacyledgerentries": "the ledger and the records are written by the controller only",
    "retiredprivatedata": "the ledger and the records are written by the controller only",
}


@pytest.fixture
def recorded(apiserver: ApiServer, granted: Plane) -> dict[str, Json]:
    """A ledger entry, a record of deleted data and an identity, as the server has them."""
    store = granted.store
    store.append(test_contract.entry("1"))
    store.retire(RetiredData("d", "sha256:1", "ns/b", EpsilonDelta(1.0), {"ns/c": EpsilonDelta(0.1)}))
    return {plural: json.loads(apiserver.kubectl("get", plural, "-o", "json"))["items"][0] for plural in RECORDS}


@pytest.mark.parametrize("user", USERS)
def test_no_role_forges_changes_or_deletes_ledger_and_records(
    apiserver: ApiServer, recorded: dict[str, Json], user: str
) -> None:
    for plural, document in recorded.items():
        forged = {**document, "metadata": {"name": "forged"}}
        name = document["metadata"]["name"]
        refusals = {
            "create": attacks.create(apiserver, forged, user=user, status=1),
            "change": attacks.patch(apiserver, {"metadata": {"labels": {"a": "b"}}}, user=user, of=(plural, name)),
            "delete": apiserver.kubectl("delete", plural, name, user=user, status=1),
        }
        for said in refusals.values():
            assert (RECORDS[plural] in said or "not deleted" in said) if user == MEDDLER else attacks.FORBIDDEN in said


@pytest.mark.parametrize("user", USERS)
def test_no_role_changes_or_deletes_the_identity_of_data_and_data_owners_alone_create_one(
    apiserver: ApiServer, granted: Plane, user: str
) -> None:
    identity = DataIdentity("1" * 32, "key", "partition", {0: DaySketch((1, 2))})
    granted.store.keep_identity(identity)
    of = ("dataidentities", identity.id)
    changed = attacks.patch(apiserver, {"spec": {"keyId": "another"}}, user=user, of=of)
    assert ("an identity cannot be changed" if user == MEDDLER else attacks.FORBIDDEN) in changed
    deleted = apiserver.kubectl("delete", *of, user=user, status=1)
    assert ("not deleted" if user == MEDDLER else attacks.FORBIDDEN) in deleted
    another = documents.custom_object("DataIdentity", "2" * 32, identity.to_json())
    may_create = user in ("data-owner", MEDDLER)
    assert (
        attacks.FORBIDDEN in attacks.create(apiserver, another, user=user, status=0 if may_create else 1)
    ) is not may_create


def test_no_role_writes_a_status(apiserver: ApiServer, granted: Plane) -> None:
    for user in USERS:
        for of in (attacks.CLAIM, attacks.BLOCK):
            refused = attacks.patch(apiserver, {"status": {"state": "x"}}, user=user, of=(*of, "--subresource=status"))
            assert attacks.FORBIDDEN in refused
