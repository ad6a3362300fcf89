"""Backup and restore between a real API server and a file, and within the server: no budget comes back."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.backup import backup_file, contents, restoring
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import CREATED_BY, RESTORED_FROM, ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.wire import claims
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.kubernetes import attacks, stores
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes


def test_a_cluster_is_restored_after_a_loss_and_nothing_is_granted_or_spent_again(
    apiserver: ApiServer, store: KubernetesStore, tmp_path: Path
) -> None:
    plane = Plane(store)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    for name, epsilon in (("paid", 0.3), ("held", 0.4), ("waits", 0.9)):
        attacks.create(apiserver, claims.to_wire(builders.claim(name, builders.allocate(epsilon))), user="claimant")
        plane.run()
    plane.append("paid", ConsumeRequest.all_or_nothing(dict(plane.claim("paid").status.acquired)))
    plane.run()
    store.put_quota(PrivacyBudgetQuota(ObjectMeta("q", "ns"), QuotaSpec("d", share=0.9)))
    file = tmp_path / "cluster.json"
    backup_file.write(file, contents.read(store, now_ms=1_000))
    decided = builders.approval("paid", approver="bob")
    backup = replace(backup_file.read(file), approvals=(decided,))

    embedded = Plane(SqliteStore(tmp_path / "state.db", clock=FakeClock()))
    restoring.restore(embedded.store, backup, now_ms=2_000)
    _require_restored(embedded)
    assert [item.spec for item in embedded.store.list_approvals()] == [decided.spec]

    lost = Plane(stores.open_empty(apiserver))
    for number in range(1, 40):  # a restore that dies at each write, and is repeated on what it left
        crashing = CrashingStore(lost.store)
        crashing.arm(number)
        with contextlib.suppress(CrashError):
            restoring.restore(crashing, backup, now_ms=2_000)
            break
    _require_restored(lost)
    assert not lost.store.list_approvals(), "an API server takes a decision from bob alone"
    restored = lost.claim("paid")
    assert restored.meta.annotations[RESTORED_FROM] in [
        claim.meta.uid for claim in backup.claims if claim.id == "ns/paid"
    ]
    assert restored.meta.annotations[CREATED_BY] == "admin"
    assert "claimant" in str(lost.store.ledger()[0].requester.user)
    assert not restoring.restore(lost.store, backup, now_ms=3_000).entries


def _require_restored(plane: Plane) -> None:
    plane.run()
    left = plane.status("b")
    assert (left.pending + left.available).values[0] == pytest.approx(0.3)
    assert [plane.states(name)[0] for name in ("paid", "held", "waits")] == ["success", "success", "failure"]
    assert not any(claim.status.acquired for claim in plane.store.list_claims())
    assert plane.store.list_quotas()[0].spec.share == 0.9
    ledger_audit.verify(plane.store)


def test_no_role_of_a_user_can_restore_and_what_it_may_not_read_is_not_saved(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    plane = Plane(store)
    plane.block("b")
    plane.ask("c", builders.allocate(0.1))
    backup = contents.read(store, now_ms=1_000)
    stores.clear(apiserver)
    for user in ("viewer", "claimant", "data-owner", "administrator"):
        with contextlib.closing(_store_of(apiserver, user)) as opened, pytest.raises(errors.PrivateKubeError):
            restoring.restore(opened, backup, now_ms=2_000)
    assert _claims(apiserver) == []


def _claims(apiserver: ApiServer) -> list[PrivacyBudgetClaim]:
    with contextlib.closing(stores.open_store(apiserver)) as opened:
        return opened.list_claims()


def _store_of(apiserver: ApiServer, user: str) -> KubernetesStore:
    return KubernetesStore(Cluster(api := apiserver.api(user)), CoreObjects(api))
