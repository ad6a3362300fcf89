"""A cluster that still has the definitions of an earlier version: it is backed up, and upgraded in place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from privatekube import errors
from privatekube.backup import backup_file
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources import ledger
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.wire import claims
from privatekube.store.kubernetes import documents
from privatekube.store.kubernetes.store import APPROVALS, KubernetesStore
from tests import builders, command_line, waiting
from tests.kubernetes import attacks, stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.attacks import Json
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
LATER = "2099-12-01T12:00:00Z"
ADDED = ("deadline", "blockGroups", "awaitsApproval", "approval")
"""Fields of a claim that the earlier definition does not have."""
LEDGER = "privacyledgerentries"


def definition(plural: str) -> Json:
    """Return a definition of this version."""
    document: Json = yaml.safe_load((BASE / f"{plural}.yaml").read_text())
    return document


def without(part: Any, names: tuple[str, ...]) -> Any:
    """Return a part of a definition without the properties of these names, and without columns and rules of them."""
    if isinstance(part, list):
        return [without(item, names) for item in part if not _is_about(item, names)]
    if not isinstance(part, dict):
        return part
    kept = {key: without(value, names) for key, value in part.items()}
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {key: value for key, value in kept["properties"].items() if key not in names}
    return kept


def _is_about(item: object, names: tuple[str, ...]) -> bool:
    text = str(item.get("rule", item.get("jsonPath", ""))) if isinstance(item, dict) else ""
    return any(text.endswith(f".{name}") or f".{name})" in text for name in names)


def apply(apiserver: ApiServer, *documents: object) -> None:
    """Apply definitions as an upgrade does, and wait until they are served."""
    text = "---\n".join(map(json.dumps, documents))
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    waiting.until_definitions_are_established(apiserver.kubectl)


def keeps_deadlines(apiserver: ApiServer) -> bool:
    """Return whether the server keeps the deadline of a claim, which earlier definitions drop or refuse."""
    wire = claims.to_wire(builders.claim("probe"))
    wire["spec"]["deadline"] = LATER
    tried = ("create", "--dry-run=server", "--validate=false", "-o", "json", "-f", "-")
    try:
        return "deadline" in json.loads(apiserver.kubectl(*tried, stdin=json.dumps(wire)))["spec"]
    except AssertionError:
        return False


@pytest.fixture
def earlier(apiserver: ApiServer, store: KubernetesStore) -> Iterator[KubernetesStore]:
    """Return an empty store on a server with earlier definitions, which gets those of this version in the end."""
    current = definition("privacybudgetclaims")
    try:
        apply(apiserver, {**current, "spec": without(current["spec"], ADDED)})
        apiserver.kubectl("delete", "crd", f"{APPROVALS}.columbia.github.com", "--wait=true")
        waiting.until(lambda: not keeps_deadlines(apiserver))
        yield store
    finally:
        upgrade(apiserver)


def upgrade(apiserver: ApiServer) -> None:
    apply(apiserver, definition("privacybudgetclaims"), definition(APPROVALS))
    waiting.until(lambda: keeps_deadlines(apiserver))
    with contextlib.closing(stores.open_store(apiserver)) as opened:
        waiting.until(lambda: _lists_approvals(opened))


def _lists_approvals(store: KubernetesStore) -> bool:
    with contextlib.suppress(errors.NotInstalled):
        return store.list_approvals() == []
    return False


def claims_of_three_states(plane: Plane) -> None:
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    for name, epsilon in (("paid", 0.3), ("held", 0.4), ("waits", 0.9)):
        plane.ask(name, builders.allocate(epsilon, timeout_ms=10**8))
    plane.append("paid", ConsumeRequest.all_or_nothing(dict(plane.claim("paid").status.acquired)))
    plane.run()


def test_it_is_backed_up_without_the_kinds_that_it_does_not_have(
    apiserver: ApiServer, earlier: KubernetesStore, tmp_path: Path
) -> None:
    claims_of_three_states(Plane(earlier))
    earlier.put_quota(PrivacyBudgetQuota(ObjectMeta("q", "ns"), QuotaSpec("d", share=0.9)))
    with pytest.raises(errors.NotInstalled, match="its kind is not installed; run kubectl apply"):
        earlier.list_approvals()
    environment = {connect.STORE: "kubernetes", "KUBECONFIG": str(apiserver.kubeconfig("admin"))}
    done = command_line.privatekube("backup", "saved.json", folder=tmp_path, environment=environment)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    note = "note: PrivacyBudgetApproval: the cluster has no definition of it, so there is none to save"
    assert note in done.stderr.splitlines()
    saved = backup_file.read(tmp_path / "saved.json")
    assert [len(part) for part in (saved.claims, saved.entries, saved.quotas, saved.approvals)] == [3, 1, 1, 0]


def test_an_upgrade_in_place_keeps_every_claim_and_each_goes_on(apiserver: ApiServer, earlier: KubernetesStore) -> None:
    plane = Plane(earlier)
    claims_of_three_states(plane)
    before = {claim.id: claim for claim in earlier.list_claims()}
    upgrade(apiserver)
    assert {claim.id: claim for claim in earlier.list_claims()} == before
    plane.run()
    for name in ("held", "waits"):
        refused = attacks.patch(apiserver, {"spec": {"deadline": LATER}}, user="admin", of=("pbc", name, "-n", "ns"))
        assert "spec.deadline can be neither added nor removed" in refused
    plane.append("held", ConsumeRequest.all_or_nothing(dict(plane.claim("held").status.acquired)))
    plane.run()
    assert [plane.states(name) for name in ("paid", "held", "waits")] == [
        ["success", "success"],
        ["success", "success"],
        ["pending"],
    ]
    assert len(earlier.ledger()) == 2
    ledger_audit.verify(earlier)
    plane.require_sound()


@pytest.fixture
def earlier_ledger(apiserver: ApiServer, store: KubernetesStore) -> Iterator[KubernetesStore]:
    """Return an empty store on a server whose ledger has no decisions yet, and gets them in the end."""
    document = without(definition(LEDGER), ("decision", "demand"))
    spec = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["required"] = [
        "sequence",
        "identity",
        "timeMs",
        "dataset",
        "data",
        "block",
        "claim",
        "budget",
        "reason",
        "digest",
    ]
    spec["x-kubernetes-validations"] = spec["x-kubernetes-validations"][:1]
    try:
        apply(apiserver, document)
        waiting.until(lambda: not takes_decisions(apiserver))
        yield store
    finally:
        apply(apiserver, definition(LEDGER))


def takes_decisions(apiserver: ApiServer) -> bool:
    """Return whether the server takes a decision into the ledger."""
    chained = ledger.chain_to(ledger.GENESIS, builders.rejection("ns/probe"), sequence=10**9)
    spec = {**chained.to_json(), "digest": chained.digest}
    document = documents.custom_object("PrivacyLedgerEntry", "probe", spec)
    try:
        apiserver.kubectl("create", "--dry-run=server", "--validate=false", "-f", "-", stdin=json.dumps(document))
    except AssertionError:
        return False
    return True


def test_a_ledger_without_decisions_refuses_them_and_takes_them_after_an_upgrade_in_place(
    apiserver: ApiServer, earlier_ledger: KubernetesStore
) -> None:
    plane = Plane(earlier_ledger)
    claims_of_three_states(plane)
    with pytest.raises(errors.InvalidInput):
        earlier_ledger.append(builders.rejection("ns/c"))
    assert [entry.reason for entry in earlier_ledger.ledger()] == ["consumed"]
    apply(apiserver, definition(LEDGER))
    waiting.until(lambda: takes_decisions(apiserver))
    earlier_ledger.append(builders.rejection("ns/c"))
    assert [entry.reason for entry in earlier_ledger.ledger()] == ["consumed", "rejected"]
    assert ledger_audit.verify(earlier_ledger).entries == 2
    plane.require_sound()
