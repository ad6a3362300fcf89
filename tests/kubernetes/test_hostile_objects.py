"""Objects that a claimant wrote to stop the control plane: each stops nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from privatekube.controller import leader_election
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources import meta
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.wire import common
from privatekube.store import kinds
from privatekube.store.kubernetes import documents, epochs
from privatekube.store.kubernetes.controller_store import ControllerStore
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks, controller_stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controller_stores import InterruptingCluster, RecordingObserver
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
Json = dict[str, Any]
FORGED_TIMES = ("²", "9" * 32, "-1", "", "٣" * 20)
FORGED_EPOCHS = ("99999999999999999999", "2147483646", "²", "1000000000", "-5")


def apply_claim(apiserver: ApiServer, name: str, annotations: dict[str, str]) -> None:
    """Create a claim with these annotations, as a user whom no admission policy stops."""
    ask = {"dataset": "d", "expectedBudget": {"constant": {"epsDel": {"epsilon": 0.01}}}}
    document = {
        "apiVersion": "columbia.github.com/v1",
        "kind": "PrivacyBudgetClaim",
        "metadata": {"name": name, "namespace": "ns", "annotations": annotations},
        "spec": {"requests": [{"identifier": "1", "allocateRequest": ask}]},
    }
    apiserver.kubectl("apply", "-f", "-", stdin=json.dumps(document))


def test_a_forged_time_of_creation_changes_nothing(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("b"))
    names = [f"forged-{number}" for number in range(len(FORGED_TIMES))]
    for name, created in zip(names, FORGED_TIMES, strict=True):
        apply_claim(apiserver, name, {documents.CREATED: created})
        waiting.until(lambda name=name: is_answered(store, name), controller.log)  # type: ignore[misc]
    store.create(builders.claim("honest"))
    waiting.until(lambda: is_answered(store, "honest"), controller.log)
    assert Plane(store).states("honest") == ["success"]
    assert {claim.meta.name for claim in store.list_claims()} == {*names, "honest"}
    times = [claim.meta.creation_time_ms or 0 for claim in store.list_claims()]
    assert max(times) - min(times) < 60_000
    assert controller.get("/healthz") == (200, "ok\n")


def test_a_forged_identity_of_data_fails_its_block_alone(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    identities = {"forged-1": "", "forged-2": "..", "forged-3": "../privatedatablocks"}
    for name, identity in identities.items():
        block = builders.block(name, dataset=f"of-{name}")
        store.create(replace(block, meta=replace(block.meta, annotations={meta.DATA_IDENTITY: identity})))
    store.create(builders.block("b"))
    store.create(builders.claim("honest"))
    waiting.until(lambda: is_answered(store, "honest"), controller.log)
    assert Plane(store).states("honest") == ["success"]
    forged = {block.meta.name: block.status for block in store.list_blocks() if block.meta.name in identities}
    assert forged == dict.fromkeys(identities)
    assert "privatekube_failed_passes_total{" not in controller.get("/metrics")[1]


def test_an_unreadable_record_keeps_new_blocks_out_and_stops_nothing_else(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("b"))
    store.create(builders.claim("first"))
    waiting.until(lambda: is_answered(store, "first"), controller.log)
    record = {"blockId": "ns/x", "initialBudget": {}, "committedBudgetMap": {}}
    broken = documents.custom_object("RetiredPrivateData", "broken", {"dataset": "d", "digest": "x", "record": record})
    apiserver.kubectl("apply", "--validate=false", "-f", "-", stdin=json.dumps(broken))
    store.create(builders.block("new", day=5))
    store.create(builders.claim("second"))
    waiting.until(lambda: is_answered(store, "second"), controller.log)
    assert Plane(store).states("second") == ["success"]
    waiting.until(lambda: "no new block is admitted" in controller.log(), controller.log)
    apiserver.kubectl("delete", "retiredprivatedata", "broken")
    waiting.until(lambda: (new := store.get_block("ns/new")) is not None and new.status is not None, controller.log)


def test_a_forged_epoch_deposes_nobody(apiserver: ApiServer, store: KubernetesStore, start: Starter) -> None:
    controller = start()
    store.create(builders.block("b"))
    for number, epoch in enumerate(FORGED_EPOCHS):
        name = f"forged-{number}"
        apply_claim(apiserver, name, {epochs.ANNOTATION: epoch})
        waiting.until(lambda name=name: is_answered(store, name), controller.log)  # type: ignore[misc]
        assert "no longer leads" not in controller.log(), epoch
    controller.stop()
    second = start("b")
    waiting.until(second.leads, second.log)
    store.create(builders.claim("honest"))
    waiting.until(lambda: is_answered(store, "honest"), second.log)
    assert Plane(store).states("honest") == ["success"]


def test_a_forged_epoch_in_a_status_leaves_the_lease_its_terms(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    store.create(builders.block("b"))
    store.create(builders.claim("c"))
    forged = json.dumps({"status": {epochs.STATUS_FIELD: 2**31 - 2}})
    apiserver.kubectl("patch", "pbc", "c", "-n", "ns", "--subresource=status", "--type=merge", "-p", forged)
    for name in "ab":
        controller = start(name)
        waiting.until(controller.leads, controller.log)
        waiting.until(lambda: is_answered(store, "c"), controller.log)
        assert controller.stop() == 0
    assert Plane(store).states("c") == ["success"]


def test_an_annotation_counts_up_to_the_epoch_of_the_lease(apiserver: ApiServer, store: KubernetesStore) -> None:
    store.create(builders.block("b"))
    leading, _, _ = controller_stores.open_leading(apiserver, 1, lease_epoch=lambda: 2)
    for forged, is_deposed in (("3", False), ("2", True)):
        apply_claim(apiserver, "c", {epochs.ANNOTATION: forged})
        document = Cluster(apiserver.api()).get("privacybudgetclaims", "c", "ns") or {}
        assert epochs.of_annotation(document) == int(forged)
        if is_deposed:
            with pytest.raises(Exception, match="epoch 1 is over, epoch 2 has written"):
                leading.get_claim("ns/c")
        else:
            assert leading.get_claim("ns/c") is not None


def test_an_object_that_cannot_be_read_hides_no_other_and_is_reported(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("b"))
    store.create(builders.claim("bad"))
    waiting.until(lambda: is_answered(store, "bad"), controller.log)
    both = {"ns/x": {"epsDel": {"epsilon": 1}, "renyi": [{"alpha": 2, "epsilon": 1}]}}
    patch = json.dumps({"status": {"reservedBudgets": both}})
    apiserver.kubectl("patch", "pbc", "bad", "-n", "ns", "--subresource=status", "--type=merge", "-p", patch)
    store.create(builders.claim("good"))
    waiting.until(lambda: is_answered(store, "good"), controller.log)
    assert [claim.id for claim in store.list_claims()] == ["ns/good"]
    waiting.until(lambda: "quarantined until it is corrected" in events_of(apiserver, "bad"), controller.log)
    store.create(builders.block("new", dataset="other"))
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)


def events_of(apiserver: ApiServer, name: str) -> str:
    return apiserver.kubectl("get", "events", "-n", "ns", f"--field-selector=involvedObject.name={name}")


class BreakingCluster(InterruptingCluster):
    """A connection whose watch of the blocks raises an error, the first time."""

    def __init__(self, api: Any, error: type[BaseException]) -> None:
        super().__init__(api)
        self.error, self.is_broken = error, False

    def watch(self, plural: str, version: str, *, seconds: int) -> Iterator[tuple[str, Json]]:
        """Raise the error the first time, and watch from then on."""
        if plural == kinds.BLOCK.plural and not self.is_broken:
            self.is_broken = True
            raise self.error("a defect")
        yield from super().watch(plural, version, seconds=seconds)


def watching(apiserver: ApiServer, error: type[BaseException]) -> ControllerStore:
    cluster = BreakingCluster(apiserver.api("controller"), error)
    core = CoreObjects(apiserver.api("controller"))
    watching = ControllerStore(cluster, core, RecordingObserver(), lambda: 0)
    watching.start()
    return watching


def test_a_watch_starts_over_after_a_defect(apiserver: ApiServer, store: KubernetesStore) -> None:
    controller = watching(apiserver, ZeroDivisionError)
    waiting.until(lambda: controller.is_filled)
    store.create(builders.block("b"))
    waiting.until(lambda: len(controller.known_blocks()) == 1)
    assert controller.is_followed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_ended_is_noticed(apiserver: ApiServer, store: KubernetesStore) -> None:
    assert not store.list_claims()
    controller = watching(apiserver, SystemExit)
    waiting.until(lambda: not controller.is_followed)


@pytest.mark.parametrize("spec", [{}, {"leaseTransitions": 2**31 - 1, "holderIdentity": ""}])
def test_a_lease_that_says_nothing_or_is_at_the_end_of_its_counter_is_taken(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, spec: Json
) -> None:
    metadata = {"name": leader_election.NAME, "namespace": SYSTEM_NAMESPACE}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(lease))
    controller = start()
    waiting.until(controller.leads, controller.log)
    store.create(builders.block("b"))
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)
    assert controller.get("/healthz") == (200, "ok\n")


MANY_ORDERS = RenyiCurve(tuple(1.5 + number for number in range(64)), (10.0,) * 64)
TOO_MUCH = RenyiCurve(MANY_ORDERS.orders, (11.123456789012345,) * 64)


def test_free_claims_of_the_largest_size_keep_no_other_from_its_answer(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    store.create(builders.block("b", MANY_ORDERS))
    names = [f"{'n' * 249}{number:04}" for number in range(420)]
    for name in names:
        store.create(builders.claim(name, builders.allocate(demand=TOO_MUCH, timeout_ms=3_600_000)))
    asked = Plane.claim_of(
        "honest", builders.allocate(demand=MANY_ORDERS * 0.1), ConsumeRequest({"ns/b": MANY_ORDERS * 0.1})
    )
    store.create(asked)
    controller = start()
    waiting.until(lambda: is_answered(store, "honest", 1), controller.log)
    plane = Plane(store)
    assert plane.states("honest") == ["success", "success"]

    def are_pending() -> bool:
        claims = [claim for claim in store.list_claims() if claim.id != "ns/honest"]
        states = [str(response.state) for claim in claims for response in claim.status.responses]
        return states == ["pending"] * len(names)

    waiting.until(are_pending, controller.log)
    assert "ResourceExhausted" not in controller.log()
    plane.require_sound()


ORDERS = RenyiCurve((1.5, 3, 8), (1.0, 1.9, 9.2))


@pytest.mark.parametrize("demand", [RenyiCurve((1.5,), (0.0,)), RenyiCurve((3,), (0.0,)), ORDERS * 0.0])
def test_a_useless_demand_takes_nothing_from_a_block(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, demand: RenyiCurve
) -> None:
    controller = start("a", "--unlock", "n=2")
    store.create(builders.block("b", ORDERS))
    ask = {"dataset": "d", "expectedBudget": {"constant": common.budget_to_wire(demand)}}
    document = {
        "apiVersion": "columbia.github.com/v1",
        "kind": "PrivacyBudgetClaim",
        "metadata": {"name": "hostile", "namespace": "ns"},
        "spec": {"requests": [{"identifier": "1", "allocateRequest": ask}]},
    }
    attacks.create(apiserver, document, user="claimant")
    waiting.until(lambda: is_answered(store, "hostile"), controller.log)
    store.create(builders.claim("honest", builders.allocate(demand=ORDERS * 0.5)))
    waiting.until(lambda: is_answered(store, "honest"), controller.log)
    plane = Plane(store)
    assert (plane.states("hostile"), plane.states("honest")) == (["failure"], ["success"])
    assert plane.claim("honest").status.acquired["ns/b"] == plane.status("b").pending == ORDERS * 0.5
    plane.require_sound()


def test_dust_leaves_a_block_writable(apiserver: ApiServer, store: KubernetesStore, start: Starter) -> None:
    controller = start()
    store.create(builders.block("b", EpsilonDelta(10.0, 1e-7)))
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)
    dust, spent = EpsilonDelta(0.0, 9e-12), EpsilonDelta(0.0, 5e-12)
    names = [f"c{number}" for number in range(70)]
    for name in names:
        store.create(Plane.claim_of(name, builders.allocate(demand=dust), ConsumeRequest({"ns/b": spent})))
    waiting.until(lambda: all(is_answered(store, name, 1) for name in names), controller.log)
    store.create(builders.claim("honest", builders.allocate(10.0)))
    waiting.until(lambda: is_answered(store, "honest"), controller.log)
    plane = Plane(store)
    assert plane.states("honest") == ["success"]
    assert plane.claim("c0").status.acquired["ns/b"] == dust - spent
    plane.require_sound()
