"""Admission by Kueue, on its published definitions: a workload waits for its claim, which is settled when it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.controller.kueue.kueue_objects import KueueObjects
from privatekube.controller.kueue.verdict import Verdict
from privatekube.controller.kueue.workload import State
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import claims
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks, kueue
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.controllers import ControllerProcess
from tests.kubernetes.kueue import Kueue
from tests.kubernetes.test_manifests import rendered
from tests.reconcile.harness import Action, Plane

pytestmark = pytest.mark.kubernetes
MANIFESTS = Path(__file__).resolve().parents[2] / "manifests" / "kueue"
USER, PIPELINE = "kueue", "queued-job"
LONG_AGO = "2026-01-01T00:00:00Z"
Start = Callable[..., ControllerProcess]


@pytest.fixture(scope="session")
def installed(apiserver: ApiServer) -> Iterator[ApiServer]:
    """Install the published definitions and the account of the controller; remove the definitions in the end.

    Once for each server: a process that takes over tests of others may come to this module a second time.
    """
    kueue.install(apiserver)
    apiserver.kubectl("apply", "-f", str(MANIFESTS / "access.yaml"))
    apiserver.add_user(USER)
    apiserver.bind(USER)
    apiserver.add_user(PIPELINE, namespace="ns")
    role = ("--clusterrole=privatekube-claimant", f"--serviceaccount=ns:{PIPELINE}")
    apiserver.kubectl("create", "rolebinding", PIPELINE, *role, "-n", "ns")
    waiting.until(lambda: apiserver.may(USER, "list", "workloads.kueue.x-k8s.io"))
    waiting.until(lambda: apiserver.may(PIPELINE, "create", "privacybudgetclaims.columbia.github.com", "-n=ns"))
    yield apiserver
    apiserver.unbind(USER)
    kueue.uninstall(apiserver)


@pytest.fixture
def queue(installed: ApiServer, store: KubernetesStore) -> Iterator[Kueue]:
    """Return Kueue on an empty server that has the AdmissionCheck of the manifests."""
    queue = Kueue(installed)
    queue.clear()
    installed.kubectl("apply", "-f", str(MANIFESTS / "admissioncheck.yaml"))
    yield queue
    queue.clear()


@dataclass
class JobPlane(Plane):
    """A control plane whose claims are created by a service account of their namespace."""

    pipeline: KubernetesStore = field(kw_only=True)

    def ask(self, name: str, *actions: Action) -> PrivacyBudgetClaim:
        """Create a claim with these requests, and return it after a pass."""
        self.pipeline.create(self.claim_of(name, *actions))
        self.run()
        return self.claim(name)


@pytest.fixture
def plane(queue: Kueue, store: KubernetesStore) -> Iterator[JobPlane]:
    """Return a control plane with a block `b`, which runs its passes when the test says so."""
    api = queue.server.api(PIPELINE)
    plane = JobPlane(store, pipeline=KubernetesStore(Cluster(api), CoreObjects(api)))
    plane.block("b")
    yield plane
    plane.pipeline.close()


@pytest.fixture
def start(queue: Kueue, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the controller of admission checks with options."""
    started: list[ControllerProcess] = []

    def starting(*options: str) -> ControllerProcess:
        module = "privatekube.controller.kueue"
        name = f"kueue-{len(started)}"
        started.append(ControllerProcess(queue.server, tmp_path, name, options, module=module, user=USER))
        return started[-1].start()

    yield starting
    for process in started:
        process.kill()


def reach(queue: Kueue, state: str, process: ControllerProcess, name: str = "w") -> str:
    """Wait until a workload has that state, and return its message."""
    waiting.until(lambda: queue.check(name)["state"] == state, lambda: f"{queue.state(name)}\n{process.log()}")
    return str(queue.check(name)["message"])


def settle(plane: JobPlane, process: ControllerProcess, name: str = "c") -> None:
    """Wait until a claim is to be settled, and settle it."""

    def is_due() -> bool:
        after = plane.claim(name).spec.settle_after
        return after is not None and after.at_ms == 0

    waiting.until(is_due, process.log)
    plane.clock.time_ms += 2000
    plane.run()


def test_the_check_of_the_manifests_becomes_active(queue: Kueue, start: Start) -> None:
    process = start()
    wait = ("--for=condition=Active", "admissioncheck/privacy-budget", "--timeout=60s")
    assert "condition met" in queue.server.kubectl("wait", *wait)
    assert process.stop() == 0


def test_the_api_server_accepts_all_of_the_manifests(queue: Kueue) -> None:
    documents = rendered(queue.server, MANIFESTS)
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-k")
    said = queue.server.kubectl(*apply, str(MANIFESTS))
    assert said.count("serverside-applied (server dry run)") == len(documents) == 5


def test_its_pod_is_as_restricted_as_the_controller(queue: Kueue) -> None:
    def pod(folder: Path) -> tuple[object, ...]:
        (deployment,) = [item for item in rendered(queue.server, folder) if item["kind"] == "Deployment"]
        spec = deployment["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        return container["image"], container["securityContext"], spec["securityContext"], spec["enableServiceLinks"]

    assert pod(MANIFESTS) == pod(MANIFESTS.parent / "controller")


def test_a_workload_waits_until_its_claim_is_granted(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.pipeline.create(builders.claim())
    queue.submit()
    queue.reserve()
    waiting.until(lambda: queue.state() == "Pending: claim ns/c: is not answered yet", process.log)
    plane.run()
    assert reach(queue, "Ready", process) == "claim ns/c: is granted"
    assert plane.claim("c").meta.annotations["kueue.columbia.github.com/workload"] == "w"


def test_nothing_is_decided_before_quota_is_reserved(queue: Kueue, plane: JobPlane, start: Start) -> None:
    plane.ask("c", builders.allocate())
    queue.submit("early")
    queue.submit()
    queue.reserve()
    reach(queue, "Ready", start())
    assert "admissionChecks" not in queue.document("early").get("status", {})


def test_only_its_own_entry_is_written(queue: Kueue, plane: JobPlane, start: Start) -> None:
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    before = queue.check(check=kueue.OTHER_CHECK)
    reach(queue, "Ready", start())
    assert queue.check(check=kueue.OTHER_CHECK) == before
    assert before["podSetUpdates"] == [{"name": "set-0", "annotations": {"provisioned": "yes"}}]
    fields = {item["manager"]: item["fieldsV1"] for item in queue.document()["metadata"]["managedFields"]}
    assert list(fields["privatekube-kueue"]["f:status"]) == ["f:admissionChecks"]
    assert list(fields["privatekube-kueue"]["f:status"]["f:admissionChecks"]) == ['k:{"name":"privacy-budget"}']


def test_a_claim_that_is_refused_rejects_its_workload(queue: Kueue, plane: JobPlane, start: Start) -> None:
    plane.ask("c", builders.allocate(blocks=7))
    queue.submit()
    queue.reserve()
    message = reach(queue, "Rejected", start())
    assert message.startswith("claim ns/c: is not granted: ")
    assert message.endswith("; create another claim, and a job that names it")


def test_a_claim_may_be_created_after_its_job(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    queue.submit()
    queue.reserve()
    waiting.until(lambda: queue.state().startswith("Pending: claim ns/c: does not exist; create it"), process.log)
    plane.ask("c", builders.allocate())
    reach(queue, "Ready", process)


def test_a_claim_that_does_not_appear_rejects_its_workload(queue: Kueue, start: Start) -> None:
    queue.submit()
    queue.reserve(at=LONG_AGO)
    assert reach(queue, "Rejected", start()).startswith("claim ns/c: does not exist; create it, or correct")


@pytest.mark.parametrize("name", ["elsewhere/c", "..", "c/status", "C!"])
def test_no_name_reaches_a_claim_of_another_namespace(queue: Kueue, plane: JobPlane, start: Start, name: str) -> None:
    other = builders.claim()
    plane.store.create(replace(other, meta=replace(other.meta, namespace="elsewhere")))
    plane.ask("c", builders.allocate())
    queue.submit(claims=[name])
    queue.reserve(at=LONG_AGO)
    assert f"claim ns/{name}: does not exist" in reach(queue, "Rejected", start())


@pytest.mark.parametrize(("claims", "named"), [((), "names no claim"), (("c", "d"), "names 2 claims (c, d)")])
def test_a_workload_names_one_claim(
    queue: Kueue, plane: JobPlane, start: Start, claims: tuple[str, ...], named: str
) -> None:
    plane.ask("c", builders.allocate())
    queue.submit(claims=claims)
    queue.reserve()
    assert reach(queue, "Rejected", start()).startswith(f"{named}; set the annotation")


def test_a_workload_that_waits_for_long_gives_its_quota_back_for_a_while(
    queue: Kueue, plane: JobPlane, start: Start
) -> None:
    plane.pipeline.create(builders.claim())
    process = start("--hold", "3m")
    queue.submit()
    queue.reserve(at=LONG_AGO)
    assert reach(queue, "Retry", process) == "claim ns/c: is not answered yet"
    assert queue.check()["requeueAfterSeconds"] == 180
    queue.evict()
    plane.run()
    queue.reserve()
    reach(queue, "Ready", process)


def test_a_claim_admits_one_workload_at_a_time(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit("first")
    queue.reserve("first")
    reach(queue, "Ready", process, "first")
    queue.submit("second")
    queue.reserve("second")
    assert reach(queue, "Rejected", process, "second").startswith("claim ns/c: is used by workload ns/first")
    assert queue.check("first")["state"] == "Ready"


def test_a_claim_of_another_user_is_neither_admitted_nor_settled(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    attacks.create(queue.server, claims.to_wire(builders.claim()), user="claimant")
    plane.run()
    assert plane.claim("c").holds_its_grant
    queue.submit()
    queue.reserve()
    owner = "system:serviceaccount:privatekube-tests:claimant"
    assert reach(queue, "Rejected", process).startswith(f"claim ns/c: belongs to {owner}, so the pods of a job cannot")
    queue.deactivate()
    queue.submit("later", ["none"])
    queue.reserve("later", at=LONG_AGO)
    reach(queue, "Rejected", process, "later")  # decided after the end of the first was seen
    assert plane.claim("c").spec.settle_after is None


def test_a_claim_that_is_settled_before_its_workload_runs_rejects(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    reach(queue, "Ready", process)
    claim = plane.claim("c")
    plane.store.update(replace(claim, spec=claim.spec.settle_at_once()))
    plane.clock.time_ms += 2000
    plane.run()
    assert reach(queue, "Rejected", process).startswith("claim ns/c: holds no budget any more")


def test_a_running_workload_keeps_its_admission_when_it_has_paid(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    reach(queue, "Ready", process)
    queue.admit()
    claim = plane.claim("c")
    plane.store.update(replace(claim, spec=claim.spec.settle_at_once()))
    plane.clock.time_ms += 2000
    plane.run()
    queue.submit("later")
    queue.reserve("later")
    reach(queue, "Rejected", process, "later")  # decided after the settlement was seen
    assert queue.check()["state"] == "Ready"


def test_an_evicted_workload_keeps_its_claim_and_is_admitted_again(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    reach(queue, "Ready", process)
    queue.evict()
    queue.reserve()
    reach(queue, "Ready", process)
    assert plane.claim("c").spec.settle_after is None
    assert plane.claim("c").holds_its_grant


@pytest.mark.parametrize("end", [Kueue.finish, Kueue.deactivate, Kueue.delete])
@pytest.mark.parametrize("is_opened", [False, True])
def test_a_workload_that_ends_has_its_claim_settled(
    queue: Kueue, plane: JobPlane, start: Start, end: Callable[[Kueue], None], is_opened: bool
) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    reach(queue, "Ready", process)
    queue.admit()
    if is_opened:
        plane.open_data("c")
    end(queue)
    settle(plane, process)
    assert dict(plane.claim("c").status.committed) == ({"ns/b": EpsilonDelta(0.1)} if is_opened else {})
    assert not plane.claim("c").holds_budget
    plane.require_sound()


def test_a_workload_that_ended_while_nobody_watched_has_its_claim_settled(
    queue: Kueue, plane: JobPlane, start: Start
) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    reach(queue, "Ready", process)
    process.kill()
    queue.delete()
    queue.submit("other", ["d"])
    settle(plane, start())
    assert not plane.claim("c").holds_budget


def test_a_workload_of_the_same_name_is_another_one(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit()
    queue.reserve()
    waiting.until(lambda: "kueue.columbia.github.com/workload" in plane.claim("c").meta.annotations, process.log)
    process.kill()
    queue.delete()
    queue.submit()
    settle(plane, start())
    assert not plane.claim("c").holds_budget


def test_a_workload_that_was_never_bound_settles_nothing(queue: Kueue, plane: JobPlane, start: Start) -> None:
    process = start()
    plane.ask("c", builders.allocate())
    queue.submit("first")
    queue.reserve("first")
    reach(queue, "Ready", process, "first")
    queue.submit("second")
    queue.reserve("second")
    reach(queue, "Rejected", process, "second")
    queue.deactivate("second")
    queue.submit("third", ["none"])
    queue.reserve("third", at=LONG_AGO)
    reach(queue, "Rejected", process, "third")  # decided after the end of the second was seen
    assert plane.claim("c").spec.settle_after is None


def test_a_claim_that_cannot_be_read_admits_nothing(queue: Kueue, plane: JobPlane, start: Start) -> None:
    plane.ask("c", builders.allocate())
    both = {"ns/x": {"epsDel": {"epsilon": 1}, "renyi": [{"alpha": 2, "epsilon": 1}]}}
    patch = json.dumps({"status": {"reservedBudgets": both}})
    queue.server.kubectl("patch", *attacks.CLAIM, "--subresource=status", "--type=merge", "-p", patch)
    queue.submit()
    queue.reserve()
    process = start()
    waiting.until(lambda: "give either epsDel or renyi" in queue.check()["message"], process.log)
    assert queue.check()["state"] == "Pending"
    assert "\n" not in queue.check()["message"]


def test_a_state_that_was_decided_on_an_earlier_version_is_not_written(queue: Kueue) -> None:
    queue.submit()
    queue.reserve()
    objects = KueueObjects(queue.server.api(USER))
    read = objects.workload("ns", "w")
    assert read is not None
    queue.reserve(at=LONG_AGO)
    with pytest.raises(errors.Conflict):
        objects.set_state(read, kueue.CHECK, Verdict(State.READY, "granted"), now_ms=0)
    assert queue.check()["state"] == "Pending"


def test_its_role_is_just_enough(queue: Kueue) -> None:
    rules = json.loads(queue.server.kubectl("get", "clusterrole", "privatekube-kueue", "-o", "json"))["rules"]
    allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    read = {"get", "list", "watch"}
    assert {resource for resource, verb in allowed if verb not in read} == {
        "workloads/status",
        "admissionchecks/status",
        "privacybudgetclaims",
    }
    queue.server.kubectl("auth", "can-i", "update", "privacybudgetclaims", user=USER)
    for denied in (
        ("update", "privacybudgetclaims", "--subresource=status"),
        ("create", "privacybudgetclaims"),
        ("delete", "privacybudgetclaims"),
        ("update", "privatedatablocks"),
        ("create", "privacyledgerentries"),
        ("update", "workloads"),
        ("get", "secrets"),
    ):
        queue.server.kubectl("auth", "can-i", *denied, user=USER, status=1)


def test_without_kueue_it_says_so_and_goes_on_once_kueue_is_installed(
    installed: ApiServer, store: KubernetesStore, tmp_path: Path
) -> None:
    kueue.uninstall(installed)
    module = "privatekube.controller.kueue"
    process = ControllerProcess(installed, tmp_path, "kueue", (), module=module, user=USER)
    try:
        process.launch()
        waiting.until(lambda: "admissionchecks: its kind is not installed; install Kueue" in process.log())
        waiting.until(lambda: process.get("/readyz")[0] == 503, process.log)

        def of_workloads() -> list[object]:
            return [entry["message"] for entry in process.log_entries() if entry.get("kind") == "workloads"]

        waiting.until(lambda: bool(of_workloads()), process.log)
        assert of_workloads() == ["not watched yet: workloads: its kind is not installed; install Kueue 0.15 or later"]
        kueue.install(installed)
        waiting.until(lambda: process.get("/readyz")[0] == 200, process.log)
        assert process.stop() == 0
    finally:
        process.kill()
        kueue.install(installed)
