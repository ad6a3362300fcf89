"""Users with real tokens on a real API server who try to get round who and why, thresholds and approvals.

Each test is one threshold, claims beyond it, and what such users try: nothing of it gives them budget.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.client.cluster import Cluster as Controlled
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources import approval, ledger, summary
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.decision_entry import DecisionEntry
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import Beyond, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.summary import ClaimState
from privatekube.resources.wire import approvals, claims, quotas
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import RIVAL, USERS_NAMESPACE, ApiServer
from tests.kubernetes.attacks import Json
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
ELSEWHERE = "approvers"
"""A namespace with accounts of its own: those of one namespace are one person to the rules."""
CLAIMANT = f"system:serviceaccount:{USERS_NAMESPACE}:claimant"
OF_CLAIM = ("pbc", "c", "-n", "ns")
WAITS = ClaimState.AWAITS_APPROVAL
RBAC = "rbac.authorization.k8s.io/v1"


THRESHOLD = quotas.to_wire(
    PrivacyBudgetQuota(ObjectMeta("big", "ns"), QuotaSpec("d", share=0.3, beyond=Beyond.APPROVAL))
)


@pytest.fixture(scope="session", autouse=True)
def _approvers(apiserver: ApiServer) -> Iterator[None]:
    """Make two users with accounts in another namespace than the others'.

    `outsider` has the role of an approver in all namespaces, `claimant-elsewhere` in that one only; the latter account
    has the name of the claimant. They are made once for each server: nothing but a controller of namespaces would
    delete theirs, and a process that takes over tests of others may come to this module a second time.
    """
    apiserver.kubectl("create", "namespace", ELSEWHERE)
    role = "--clusterrole=privatekube-approver"
    for user, account in (("outsider", "outsider"), ("claimant-elsewhere", "claimant")):
        apiserver.kubectl("create", "serviceaccount", account, "-n", ELSEWHERE)
        apiserver.tokens[user] = apiserver.kubectl("create", "token", account, "-n", ELSEWHERE).strip()
    subject = f"--serviceaccount={ELSEWHERE}:outsider"
    apiserver.kubectl("create", "clusterrolebinding", "evasions", role, subject)
    subject = f"--serviceaccount={ELSEWHERE}:claimant"
    apiserver.kubectl("create", "rolebinding", "evasions", role, subject, "-n", ELSEWHERE)
    yield
    apiserver.kubectl("delete", "clusterrolebinding", "evasions")
    apiserver.kubectl("delete", "namespace", ELSEWHERE, "--wait=false")


@pytest.fixture
def plane(apiserver: ApiServer, store: KubernetesStore) -> Plane:
    """Return a control plane whose data owner has claims of more than 0.3 of a block approved by somebody else."""
    plane = Plane(store)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    attacks.create(apiserver, THRESHOLD, user="data-owner")
    return plane


def ask(apiserver: ApiServer, plane: Plane, name: str, epsilon: float, user: str = "claimant") -> ClaimState:
    """Make a claim as a user, and return its state after a pass."""
    attacks.create(apiserver, claims.to_wire(builders.claim(name, builders.allocate(epsilon))), user=user)
    plane.run()
    return summary.state(plane.claim(name))


def require_said(apiserver: ApiServer, document: Json, user: str, expected: str) -> None:
    """Check what the server says to an object of a user; what RBAC was told last may take it some time."""
    said = ""

    def is_said() -> bool:
        nonlocal said
        dry_run = ("create", "--dry-run=server", "-f", "-")
        try:
            said = apiserver.kubectl(*dry_run, user=user, stdin=json.dumps(document))
        except AssertionError as error:
            said = str(error)
        return expected in said

    waiting.until(is_said, lambda: said)


def decision(claim: PrivacyBudgetClaim, name: str, approver: str, **given: object) -> Json:
    """Return an approval of a claim as kubectl sends it; `given` replaces fields of its spec."""
    spec = {
        "claim": claim.meta.name,
        "claimUid": claim.meta.uid,
        "request": 0,
        "demand": approvals.demand_digest(claim, 0),
        "requestedBy": approval.creator(claim),
        "approver": approver,
        "decision": "approved",
        **given,
    }
    identity = {"name": name, "namespace": claim.meta.namespace}
    return {"apiVersion": "columbia.github.com/v1", "kind": approvals.KIND, "metadata": identity, "spec": spec}


def test_nobody_gets_round_a_threshold_by_another_name_a_split_or_recreated_claim_or_a_changed_threshold(
    apiserver: ApiServer, plane: Plane
) -> None:
    assert ask(apiserver, plane, "small", 0.2) is ClaimState.ACQUIRED
    assert ask(apiserver, plane, "c", 0.2) is WAITS, "a claim in two parts"
    assert ask(apiserver, plane, "other", 0.2, RIVAL) is WAITS, "another user of the namespace"
    forged = builders.claim("forged", builders.allocate(0.2))
    forged = replace(forged, spec=replace(forged.spec, requester=Requester(user="system:admin")))
    assert "spec.requestedBy: must be" in attacks.create(apiserver, claims.to_wire(forged), user="claimant", status=1)
    for field, fault in (("requestedBy", "cannot be changed"), ("team", "can be neither added nor removed")):
        assert fault in attacks.patch(apiserver, {"spec": {field: "x"}}, user="claimant")
    allocated = {"identifier": "0", "allocateRequest": {"dataset": "d"}}
    smaller = [{"op": "replace", "path": "/spec/requests/0", "value": allocated}]
    assert "append-only" in attacks.patch(apiserver, smaller, user="claimant")
    forged_answer = {"status": {"responses": [{"allocateResponse": {"approval": {"approver": "x"}}}]}}
    of_status = (*OF_CLAIM, "--subresource=status")
    assert attacks.FORBIDDEN in attacks.patch(apiserver, forged_answer, user="claimant", of=of_status)
    for user in ("claimant", "approver", "administrator"):
        of = ("pbq", "big", "-n", "ns")
        assert attacks.FORBIDDEN in attacks.patch(apiserver, {"spec": {"share": 1}}, user=user, of=of)
        assert attacks.FORBIDDEN in apiserver.kubectl("delete", *of, user=user, status=1)
    assert attacks.FORBIDDEN in apiserver.kubectl("delete", "pbc", "small", "-n", "ns", user="claimant", status=1)
    plane.append("small", ConsumeRequest.all_or_nothing(dict(plane.claim("small").status.acquired)))
    plane.run()
    apiserver.kubectl("delete", "pbc", "small", "-n", "ns")  # an administrator of the cluster
    assert ask(apiserver, plane, "small", 0.2) is WAITS, "the ledger has what the deleted one committed"
    plane.store.delete_quota("ns/big")
    attacks.create(apiserver, THRESHOLD, user="data-owner")
    plane.run()
    assert {summary.state(plane.claim(name)) for name in ("c", "other", "small")} == {WAITS}


def test_an_approval_is_by_somebody_else_of_this_claim_and_for_good(apiserver: ApiServer, plane: Plane) -> None:
    assert ask(apiserver, plane, "c", 0.5) is WAITS
    claim, outsider = plane.claim("c"), f"system:serviceaccount:{ELSEWHERE}:outsider"
    role, subject = "--clusterrole=privatekube-approver", f"--serviceaccount={USERS_NAMESPACE}:claimant"
    for user in ("claimant", "data-owner", "viewer", "administrator", "controller"):
        assert attacks.FORBIDDEN in attacks.create(apiserver, decision(claim, "x", CLAIMANT), user=user, status=1)
    apiserver.kubectl("create", "clusterrolebinding", "self-approval", role, subject)
    try:
        own, another = decision(claim, "x", CLAIMANT), decision(claim, "x", outsider)
        require_said(apiserver, own, "claimant", f"{CLAIMANT} requests the claim, so somebody else must decide")
        require_said(apiserver, another, "claimant", "spec.approver: must be")
        approver = f"system:serviceaccount:{USERS_NAMESPACE}:approver"  # an account of the requester's namespace
        require_said(apiserver, decision(claim, "x", approver), "approver", f"{approver} may run pods as {CLAIMANT}")
        attacks.create(apiserver, decision(claim, "false-name", CLAIMANT, requestedBy="somebody"), user="claimant")
    finally:
        apiserver.kubectl("delete", "clusterrolebinding", "self-approval")
    runs_pods, account = ("runs-pods", "-n", USERS_NAMESPACE), f"--serviceaccount={ELSEWHERE}:outsider"
    apiserver.kubectl("create", "role", *runs_pods, "--verb=create", "--resource=pods")
    apiserver.kubectl("create", "rolebinding", *runs_pods, "--role=runs-pods", account)
    require_said(apiserver, decision(claim, "x", outsider), "outsider", f"{outsider} may run pods as {CLAIMANT}")
    apiserver.kubectl("delete", "role,rolebinding", *runs_pods)
    require_said(apiserver, decision(claim, "x", outsider), "outsider", "created (server dry run)")
    elsewhere = f"system:serviceaccount:{ELSEWHERE}:claimant"
    denied = attacks.create(apiserver, decision(claim, "x", elsewhere), user="claimant-elsewhere", status=1)
    assert attacks.FORBIDDEN in denied, "an approver of another namespace only"
    in_other = decision(claim, "x", elsewhere)
    in_other["metadata"]["namespace"] = ELSEWHERE
    attacks.create(apiserver, in_other, user="claimant-elsewhere")
    false: list[dict[str, object]] = [{"demand": f"sha256:{1:064x}"}, {"claimUid": "1"}, {"request": 1}]
    for name, given in zip(("digest", "uid", "index"), false, strict=True):
        attacks.create(apiserver, decision(claim, name, outsider, **given), user="outsider")
    plane.run()
    assert summary.state(plane.claim("c")) is WAITS
    apiserver.kubectl("delete", *OF_CLAIM)
    attacks.create(apiserver, decision(claim, "earlier", outsider), user="outsider")
    assert ask(apiserver, plane, "c", 0.5) is WAITS, "the approval is of the claim that was deleted"
    with by(apiserver, "outsider") as client:
        client.approve("ns/c", reason="the board agreed")
        with pytest.raises(errors.AlreadyExists, match="has decided about it before, for good"):
            client.reject("ns/c")
    (name,) = [item.meta.name for item in plane.store.list_approvals() if item.spec.reason]
    of = ("pba", name, "-n", "ns")
    assert "cannot be changed" in attacks.patch(apiserver, {"spec": {"decision": "rejected"}}, user="admin", of=of)
    for user in ("outsider", "claimant", "data-owner"):
        assert attacks.FORBIDDEN in apiserver.kubectl("delete", *of, user=user, status=1)
    plane.run()
    assert summary.state(plane.claim("c")) is ClaimState.ACQUIRED
    plane.append("c", ConsumeRequest.all_or_nothing(dict(plane.claim("c").status.acquired)))
    plane.run()
    (entry,) = ledger.amounts(plane.store.ledger(claim_id="ns/c"))
    assert [str(item) for item in entry.approvals] == [f"{outsider}: the board agreed"]
    plane.require_sound()


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        *(("create", name) for name in ("pods/exec", "serviceaccounts/token", "replicationcontrollers")),
        ("get", "pods/exec"),
        ("patch", "pods/ephemeralcontainers"),
        ("impersonate", "serviceaccounts"),
        *(("create", f"{kind}.apps") for kind in ("deployments", "statefulsets", "daemonsets", "replicasets")),
        *(("create", f"{kind}.batch") for kind in ("jobs", "cronjobs")),
        *(("create", name) for name in ("runs.pipelines.kubeflow.org", "workflows.argoproj.io")),
    ],
)
def test_whoever_may_act_as_the_account_that_requests_a_claim_cannot_approve_it(
    apiserver: ApiServer, plane: Plane, verb: str, resource: str
) -> None:
    assert ask(apiserver, plane, "c", 0.5) is WAITS
    outsider = f"system:serviceaccount:{ELSEWHERE}:outsider"
    document = decision(plane.claim("c"), "x", outsider)
    name, _, group = resource.partition(".")
    rules = [{"apiGroups": [group], "resources": [name], "verbs": [verb]}]
    identity = {"name": "acts-as", "namespace": USERS_NAMESPACE}
    role = {"apiVersion": RBAC, "kind": "Role", "metadata": identity, "rules": rules}
    binding = {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": identity,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "acts-as"},
        "subjects": [{"kind": "ServiceAccount", "name": "outsider", "namespace": ELSEWHERE}],
    }
    require_said(apiserver, document, "outsider", "created (server dry run)")
    try:
        for item in (role, binding):
            apiserver.kubectl("create", "-f", "-", stdin=json.dumps(item))
        require_said(apiserver, document, "outsider", f"{outsider} may run pods as {CLAIMANT}")
    finally:
        apiserver.kubectl("delete", "role,rolebinding", "acts-as", "-n", USERS_NAMESPACE)
    require_said(apiserver, document, "outsider", "created (server dry run)")


@contextlib.contextmanager
def by(apiserver: ApiServer, user: str) -> Iterator[BudgetClient]:
    """Return the client of a user, who waits for the controller of the cluster."""
    api = apiserver.api(user)
    store = KubernetesStore(Cluster(api), CoreObjects(api))
    with BudgetClient(store, Controlled(store)) as client:
        yield client


def test_definitions_of_the_last_version_are_upgraded_in_place(apiserver: ApiServer, store: KubernetesStore) -> None:
    last = [definition(plural) for plural in ("privacybudgetquotas", "privacybudgetclaims", "privacyledgerentries")]
    for document, *added in zip(last, (["beyond"], [], ["approvals"]), strict=True):
        (version,) = document["spec"]["versions"]
        fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        for name in added[0]:
            del fields[name]
    try:
        apply(apiserver, last)
        require_said(apiserver, THRESHOLD, "data-owner", 'unknown field "spec.beyond"')
        plain = QuotaSpec("d", share=0.3)
        store.put_quota(PrivacyBudgetQuota(ObjectMeta("big", "ns"), plain))
        attacks.create(apiserver, claims.to_wire(builders.claim()), user="claimant")
    finally:
        apply(apiserver, [definition(document["metadata"]["name"].partition(".")[0]) for document in last])
    require_said(apiserver, {**THRESHOLD, "metadata": {"name": "new", "namespace": "ns"}}, "data-owner", "created")
    assert store.list_quotas()[0].spec == plain
    assert store.get_claim("ns/c") is not None
    store.put_quota(PrivacyBudgetQuota(ObjectMeta("big", "ns"), replace(plain, beyond=Beyond.APPROVAL)))
    assert store.list_quotas()[0].is_threshold


def definition(plural: str) -> Json:
    """Return a definition of this version."""
    document: Json = yaml.safe_load((BASE / f"{plural}.yaml").read_text())
    return document


def apply(apiserver: ApiServer, documents: list[Json]) -> None:
    """Apply definitions as an upgrade does."""
    text = "---\n".join(map(json.dumps, documents))
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)


def test_a_rejection_is_in_the_ledger_and_its_entry_is_not_changed_by_anybody(
    apiserver: ApiServer, plane: Plane
) -> None:
    assert ask(apiserver, plane, "c", 0.5) is WAITS
    with by(apiserver, "outsider") as client:
        client.reject("ns/c", reason="too much")
    plane.run()
    (entry,) = plane.store.ledger()
    assert isinstance(entry, DecisionEntry)
    outsider = f"system:serviceaccount:{ELSEWHERE}:outsider"
    assert (entry.words, entry.requester.user) == (f"rejected by {outsider}: too much", CLAIMANT)
    assert ledger_audit.verify(plane.store).digest == entry.digest
    of = ("privacyledgerentries", "entry-000000000001")
    assert "append-only" in attacks.patch(apiserver, {"spec": {"decision": {"approver": "eve"}}}, user="admin", of=of)
    for user in ("outsider", "claimant", "data-owner"):
        assert attacks.FORBIDDEN in apiserver.kubectl("delete", *of, user=user, status=1)
    plane.require_sound()
