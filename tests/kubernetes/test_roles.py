"""What each role may do, with real tokens on a real API server: the promise depends on the roles."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from kubernetes.client import AuthorizationV1Api

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission, read_world
from privatekube.resources import meta, signature, transitions
from privatekube.resources.data_identity import DataIdentity, DaySketch
from privatekube.resources.statement import SignedStatement
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore
from tests import builders
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ROLES, ApiServer

pytestmark = pytest.mark.kubernetes

GOLDEN = Path(__file__).resolve().parent.parent / "samples" / "roles"
"""What `kubectl auth can-i --list` answers to each role; `nobody` has what every user has."""
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection", "administer")
BLOCKS, CLAIMS, LEDGER, RECORDS = (
    "privatedatablocks",
    "privacybudgetclaims",
    "privacyledgerentries",
    "retiredprivatedata",
)
IDENTITIES, QUOTAS, APPROVALS = "dataidentities", "privacybudgetquotas", "privacybudgetapprovals"
EVERYTHING = (BLOCKS, f"{BLOCKS}/status", CLAIMS, f"{CLAIMS}/status", LEDGER, RECORDS, IDENTITIES, QUOTAS, APPROVALS)
READ_ALL = {(verb, kind) for verb in READ for kind in (BLOCKS, CLAIMS, LEDGER, RECORDS, QUOTAS, APPROVALS)}
ALLOWED = {
    "viewer": READ_ALL,
    "claimant": READ_ALL | {(verb, CLAIMS) for verb in ("create", "update", "patch")},
    "data-owner": READ_ALL
    | {("create", BLOCKS), ("delete", BLOCKS)}
    | {(verb, IDENTITIES) for verb in ("get", "list", "create")}
    | {(verb, QUOTAS) for verb in ("create", "update", "patch", "delete")},
    "approver": READ_ALL | {("create", APPROVALS)},
    "administrator": READ_ALL | {(verb, CLAIMS) for verb in ("update", "patch", "administer")},
    "controller": READ_ALL
    | {(verb, kind) for verb in ("update", "patch") for kind in (BLOCKS, CLAIMS)}
    | {(verb, f"{kind}/status") for verb in ("get", "update", "patch") for kind in (BLOCKS, CLAIMS)}
    | {("create", LEDGER), ("create", RECORDS), ("update", RECORDS), ("get", IDENTITIES), ("list", IDENTITIES)},
    "nobody": set(),
}


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_a_role_may_do_what_the_table_says_and_nothing_else(apiserver: ApiServer, role: str) -> None:
    with contextlib.closing(apiserver.api(role)) as api:
        may = {(verb, kind) for verb in READ + WRITE for kind in EVERYTHING if _allowed(api, verb, kind)}
    assert may == ALLOWED[role]


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_the_server_lists_for_a_role_what_the_golden_file_has(apiserver: ApiServer, role: str) -> None:
    everywhere, in_system = (_listed(apiserver, role, namespace) for namespace in ("ns", SYSTEM_NAMESPACE))
    expected = (GOLDEN / f"{role}.txt").read_text()
    assert "".join(["# in each namespace\n", *everywhere, "# in the controller's namespace\n", *in_system]) == expected


def _listed(apiserver: ApiServer, role: str, namespace: str) -> list[str]:
    """Return what `kubectl auth can-i --list` has of resources: name, names of objects if not all, and verbs."""
    rows = apiserver.kubectl("auth", "can-i", "--list", "-n", namespace, user=role).splitlines()[1:]
    columns = (re.split(r"\s{2,}", row) for row in rows if not row.startswith(" "))
    return sorted(f"{resource} {names} {verbs}\n" for resource, _, names, verbs in columns)


def _allowed(api: object, verb: str, kind: str) -> bool:
    resource, _, subresource = kind.partition("/")
    asked = {"group": meta.GROUP, "resource": resource, "subresource": subresource, "verb": verb, "namespace": "ns"}
    review = {"spec": {"resourceAttributes": asked}}
    return bool(AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed)


@pytest.fixture
def by(apiserver: ApiServer) -> Iterator[dict[str, KubernetesStore]]:
    stores.clear(apiserver)
    opened = {}
    for role in ROLES:
        api = apiserver.api(role)
        opened[role] = KubernetesStore(Cluster(api), CoreObjects(api))
    yield opened
    for store in opened.values():
        store.close()


def test_only_the_controller_can_read_the_key_that_signs_privacy_cards(by: dict[str, KubernetesStore]) -> None:
    key = by["controller"].ensure_secret(read_world.PRIVATE_KEY, b"first")
    assert by["controller"].ensure_secret(read_world.PRIVATE_KEY, b"second") == key == b"first"
    with pytest.raises(errors.InvalidInput, match="forbidden"):
        by["controller"].ensure_secret("another", b"key")
    for role in ("viewer", "claimant", "data-owner"):
        with pytest.raises(errors.InvalidInput, match="forbidden"):
            by[role].ensure_secret(read_world.PRIVATE_KEY, b"forged")
        with pytest.raises(errors.InvalidInput, match="forbidden"):
            by[role].set_setting(read_world.PUBLIC_KEY, "forged")


def test_a_claimant_writes_no_statement(by: dict[str, KubernetesStore]) -> None:
    claim = by["claimant"].create(builders.claim())
    forged = SignedStatement("sha256:1", "{}", signature.sign(bytes(32), "{}"))
    with pytest.raises(errors.InvalidInput, match="forbidden"):
        by["claimant"].update_status(replace(claim, status=replace(claim.status, statement=forged)))
    by["claimant"].update(replace(claim, status=replace(claim.status, statement=forged)))
    stored = by["viewer"].get_claim(claim.id)
    assert stored is not None
    assert stored.status.statement is None


def test_a_claimant_claims_and_appends_but_answers_nothing_and_makes_no_budget(by: dict[str, KubernetesStore]) -> None:
    block = by["data-owner"].create(builders.block())
    block = by["controller"].update_status(transitions.initialize_status(block))
    claim = by["claimant"].create(builders.claim())
    claim = by["claimant"].update(replace(claim, spec=replace(claim.spec, data_opened=True)))
    more = replace(claim, status=replace(claim.status, acquired={block.id: EpsilonDelta(1.0)}))
    refilled = transitions.unlock(block, EpsilonDelta(1.0, 1e-7))
    for forbidden in (
        lambda: by["claimant"].update_status(more),
        lambda: by["claimant"].update_status(refilled),
        lambda: by["claimant"].create(builders.block("other")),
        lambda: by["claimant"].delete(block),
        lambda: by["data-owner"].update_status(refilled),
        lambda: by["viewer"].create(builders.claim("other")),
    ):
        with pytest.raises(errors.InvalidInput, match="forbidden"):
            forbidden()
    assert by["controller"].update_status(more).status.acquired == {block.id: EpsilonDelta(1.0)}


def test_only_data_owner_and_controller_read_what_would_confirm_a_guess_of_a_record(
    by: dict[str, KubernetesStore],
) -> None:
    key = block_admission.owner_key(by["controller"])
    assert block_admission.owner_key(by["data-owner"]) == key
    identity = DataIdentity("1" * 32, "key", "partition", {0: DaySketch((1, 2))})
    by["data-owner"].keep_identity(identity)
    assert by["data-owner"].identity(identity.id) == identity
    assert by["controller"].identity(identity.id) == identity
    for role in ("viewer", "claimant"):
        for secret in (partial(block_admission.owner_key, by[role]), partial(by[role].identity, identity.id)):
            with pytest.raises(errors.InvalidInput, match="forbidden"):
                secret()
