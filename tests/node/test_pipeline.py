"""The compiled pipeline on a node: each step is a restricted pod of its pushed image; data and results are in buckets.

Nothing is supplied here that the package does not set itself, but the servers and their addresses.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipelines import dp_lstm
from privatekube.kubeflow import pending_pods
from tests import waiting
from tests.e2e.conftest import Laptop
from tests.node import accounts, components, object_store, pods, published, team
from tests.node import node as nodes
from tests.node.components import Project
from tests.node.deployment import Deployment
from tests.node.node import Json, Node
from tests.node.object_store import ARTIFACTS, DATA, RESULTS, ObjectStore
from tests.node.team import Team
from tests.node.workflow import DEADLINE, DELETED, Ending, Terminated

pytestmark = [
    pytest.mark.node,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(nodes.KUBECONFIG in os.environ, reason="the workspaces are folders of this machine"),
]
STEPS = [step.replace("_", "-") for step in dp_lstm.STEPS]
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
BEGUN_SECONDS, SETTLED_SECONDS = 300, 300
TIMED_OUT = ("cluster.steps={dp_train: {timeout_seconds: 60, cpu_limit: 50m}}",)  # imports alone take longer
UNPLACEABLE = ("cluster.steps={download: {cpu_request: 64, cpu_limit: 64}}", "cluster.run_timeout_seconds=90")
WITHOUT_SECRET = ("cluster.steps={allocate: {timeout_seconds: 60}}",)
Fault = Callable[[str], None]


@pytest.fixture(scope="module")
def stores(node: Node) -> Iterator[Mapping[str, ObjectStore]]:
    """Buckets in the node's network, by scheme."""
    node.apply(pods.namespace())
    with object_store.served(node) as served:
        yield served


@pytest.fixture(scope="module")
def project(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The components, whose images are in the node's registry."""
    return components.project(node, tmp_path_factory.mktemp("components"))


@pytest.fixture(scope="module")
def teams(
    node: Node,
    controller: Deployment,
    stores: Mapping[str, ObjectStore],
    project: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Team]:
    """Two teams, each with two blocks of reviews in a bucket, by scheme; budget is unlocked bit by bit."""
    fetch_training_image(node, project)
    controller.unlock("n=100")
    accounts.bind_claimant(node)
    owner = accounts.data_owner(node, tmp_path_factory.mktemp("private"))
    workspaces = tmp_path_factory.mktemp("workspaces")
    return {
        scheme: team.set_up(owner, project.compile(*store.settings), store, f"reviews-{scheme}", workspaces)
        for scheme, store in stores.items()
    }


@pytest.fixture(scope="module")
def unlocked(teams: dict[str, Team], controller: Deployment) -> Iterator[dict[str, Team]]:
    """The same teams, with all budget of a block unlocked from the start."""
    controller.unlock("all")
    yield teams
    controller.unlock("n=10")


@pytest.fixture(scope="module")
def background() -> Iterator[ThreadPoolExecutor]:
    """Threads for runs that mostly wait."""
    with ThreadPoolExecutor() as threads:
        yield threads


@pytest.fixture(scope="module")
def without_secret(unlocked: dict[str, Team], project: Project, background: ThreadPoolExecutor) -> Future[list[Ending]]:
    """A run in the background, before the Secret of its bucket was created."""
    compiled = project.compile(*unlocked["s3"].store.settings, *WITHOUT_SECRET)
    faults = {"allocate": partial(require_pending, unlocked["s3"], "CreateContainerConfigError: .*s3-keys")}
    return background.submit(replace(unlocked["s3"], compiled=compiled).run, "keyless", faults=faults)


@pytest.fixture(scope="module")
def reviewers(unlocked: dict[str, Team], without_secret: object) -> Team:
    """The team whose buckets are gs://."""
    return unlocked["gs"]


@pytest.fixture(scope="module")
def plain(reviewers: Team) -> list[Ending]:
    """A run without any fault."""
    return reviewers.run("plain")


@pytest.fixture(scope="module")
def slow(reviewers: Team, plain: object, project: Project, background: ThreadPoolExecutor) -> Future[list[Ending]]:
    """A run in the background whose training gets little of a CPU, and not enough time."""
    compiled = project.compile(*reviewers.store.settings, *TIMED_OUT)
    return background.submit(replace(reviewers, compiled=compiled).run, "slow")


@pytest.fixture(scope="module")
def unplaceable(
    reviewers: Team, plain: object, project: Project, background: ThreadPoolExecutor
) -> Future[list[Ending]]:
    """A run in the background whose download fits no node, and whose deadline passes."""
    compiled = project.compile(*reviewers.store.settings, *UNPLACEABLE)
    faults = {"download": partial(require_pending, reviewers, "Unschedulable: .*Insufficient cpu")}
    stuck = replace(reviewers, compiled=compiled)
    return background.submit(stuck.run, "stuck", "timeout_seconds=30", "settle_after_seconds=60", faults=faults)


@pytest.fixture(scope="module")
def terminated(reviewers: Team, plain: object, background: ThreadPoolExecutor) -> Future[list[Ending]]:
    """A run in the background that is terminated once its data is in the workspace."""

    def terminate(pod: str) -> None:
        assert list((reviewers.workspaces / "ended").rglob("*.npy"))
        reviewers.node.kubectl("delete", "pod", pod, "-n", pods.NAMESPACE, "--grace-period=1")
        raise Terminated

    faults = {"dp-preprocess": terminate}
    return background.submit(reviewers.run, "ended", "settle_after_seconds=120", faults=faults)


def fetch_training_image(node: Node, project: Project) -> None:
    """Have the node unpack some GB while other steps run."""
    (image,) = {step.container["image"] for step in project.compile().guarded if step.name == "dp-train"}
    node.apply(pods.pod("fetcher", image, ""))


def require_pending(team: Team, reason: str, pod: str) -> None:
    """Check that the pod does not start, and that the product's words say why."""

    def said() -> str:
        return pending_pods.reason(team.node.read("pod", pod, pods.NAMESPACE)) or ""

    waiting.until(lambda: re.match(reason, said()) is not None, said, seconds=BEGUN_SECONDS)


def states(endings: list[Ending]) -> list[tuple[str, str]]:
    return [(ending.step, ending.reason) for ending in endings]


def summary(endings: list[Ending]) -> str:
    return "\n".join(f"{ending.step}: {ending.reason} {ending.exit_code}\n{ending.log}" for ending in endings)


def test_a_run_that_waits_in_vain_is_told_what_there_is_and_costs_nothing(teams: dict[str, Team]) -> None:
    waiters = teams["gs"]
    endings = waiters.run("patient", "timeout_seconds=3")
    assert states(endings) == [("allocate", "Error"), ("release", "Completed")], summary(endings)
    for expected in ("error: claim ns/run-patient: not granted within 3 s", "policy n=100 unlocks it"):
        assert expected in endings[0].log
    assert waiters.committed("patient") == {}
    require_settled(waiters, "patient")


def test_a_run_in_pods_publishes_and_pays_as_a_local_one_does(
    reviewers: Team, plain: list[Ending], slow: object, unplaceable: object, terminated: object, tmp_path: Path
) -> None:
    assert states(plain) == [(step, "Completed") for step in STEPS], summary(plain)
    folder = reviewers.fetch("plain", tmp_path / "plain")
    receipt = published.read(folder / "receipt.json")
    assert len(receipt["committed"]) == 2
    assert reviewers.committed("plain") == receipt["committed"]
    assert "latest digest sha256:" in reviewers.node.privatekube("ledger", "--verify")

    laptop = Laptop(tmp_path)
    laptop.run("demo_blocks.py", *team.BLOCKS, "--dataset", reviewers.dataset)
    laptop.pipeline(*team.SETTINGS, f"dataset={reviewers.dataset}")
    published.require_alike(folder, laptop.folder / "out" / "latest")


def test_pods_are_as_restricted_as_the_namespace_asks_and_bounded_as_compiled(
    reviewers: Team, plain: list[Ending]
) -> None:
    assert len(plain) == len(STEPS)
    for name, step in zip(dp_lstm.STEPS, STEPS, strict=True):
        needs = dp_lstm.PODS[name]
        document = reviewers.node.read("pod", f"plain-{step}-0", pods.NAMESPACE)
        (container,), (status,) = document["spec"]["containers"], document["status"]["containerStatuses"]
        assert "@sha256:" in container["image"]
        assert status["imageID"] == container["image"]
        assert container["resources"] == {
            "requests": {"cpu": needs.cpu[0], "memory": needs.memory[0]},
            "limits": {"cpu": needs.cpu[1], "memory": needs.memory[1]},
        }
        assert container["securityContext"] == RESTRICTED
        assert {variable["name"] for variable in container["env"]} <= {"PRIVATEKUBE_STORE", "STORAGE_EMULATOR_HOST"}
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert "/var/run/secrets/kubernetes.io/serviceaccount" in mounts


def deleted_in_the_middle(reviewers: Team) -> Fault:
    """Return a function that deletes a pod of dp_train once it takes its noisy steps."""

    def delete(pod: str) -> None:
        def trains() -> bool:
            phase = reviewers.node.read("pod", pod, pods.NAMESPACE)["status"]["phase"]
            return phase != "Pending" and "noisy step" in pods.log(reviewers.node, pod)

        waiting.until(trains, lambda: reviewers.node.read("pod", pod, pods.NAMESPACE)["status"], seconds=BEGUN_SECONDS)
        reviewers.node.kubectl("delete", "pod", pod, "-n", pods.NAMESPACE, "--grace-period=1")

    return delete


def test_a_run_on_s3_of_which_every_first_pod_is_lost_releases_and_pays_once(
    unlocked: dict[str, Team], without_secret: Future[list[Ending]], tmp_path: Path
) -> None:
    """The Secret is created here: a run before it ended by the time-out of its pod, which never started."""
    endings = without_secret.result(timeout=SETTLED_SECONDS)
    assert states(endings) == [("allocate", DEADLINE), ("release", "Completed")], summary(endings)
    assert "there is no such claim" in endings[-1].log
    reviewers = unlocked["s3"]
    reviewers.store.create_secret()

    def lose(pod: str) -> None:
        if pod.endswith("-0"):
            reviewers.node.kubectl("delete", "pod", pod, "-n", pods.NAMESPACE, "--grace-period=0", "--force")

    train = deleted_in_the_middle(reviewers)
    faults: dict[str, Fault] = dict.fromkeys(STEPS, lose)
    faults["dp-train"] = lambda pod: train(pod) if pod.endswith("-0") else None
    endings = reviewers.run("lost", "n_epochs=2", "sampling_rate=0.02", faults=faults)  # 100 steps, some seconds
    assert states(endings) == [(step, how) for step in STEPS for how in (DELETED, "Completed")], summary(endings)
    receipt = published.read(reviewers.fetch("lost", tmp_path / "lost") / "receipt.json")
    assert reviewers.committed("lost") == receipt["committed"]
    assert [spend["step"] for spend in receipt["spends"]] == ["dp_preprocess", "dp_train", "dp_evaluate"]


def test_a_step_that_ends_before_the_data_was_opened_costs_nothing(reviewers: Team) -> None:
    endings = reviewers.run("early", memory={"download": "32Mi"})
    tried = [("allocate", "Completed"), ("download", "OOMKilled")]  # KFP does not run a step again that failed
    assert states(endings) == [*tried, ("release", "Completed")], summary(endings)
    assert endings[1].exit_code == 137
    assert "run ended FAILED; settled run-early: released" in endings[-1].log
    assert reviewers.committed("early") == {}
    require_settled(reviewers, "early")


def test_a_training_over_its_time_is_ended_and_consumed_and_a_retry_is_refused_in_one_line(
    reviewers: Team, slow: Future[list[Ending]]
) -> None:
    endings = slow.result(timeout=SETTLED_SECONDS)
    trained = [("allocate", "Completed"), ("download", "Completed"), ("dp-preprocess", "Completed")]
    assert states(endings) == [*trained, ("dp-train", DEADLINE), ("release", "Completed")], summary(endings)
    assert "run ended FAILED; settled run-slow: consumed" in endings[-1].log
    require_consumed(reviewers, "slow")
    again = reviewers.prepare("slow").retry("dp-train")
    assert states(again) == [("dp-train", "Error"), ("release", "Completed")], summary(again)
    assert re.fullmatch(r"error: [^\n]*; start a new run\n", again[0].log)
    assert "run ended FAILED; settled run-slow: nothing to settle" in again[-1].log
    require_consumed(reviewers, "slow")


def test_a_run_whose_pod_fits_no_node_ends_at_its_deadline_and_an_event_of_its_claim_says_so_before(
    reviewers: Team, unplaceable: Future[list[Ending]]
) -> None:
    endings = unplaceable.result(timeout=SETTLED_SECONDS)
    assert states(endings) == [("allocate", "Completed")], summary(endings)
    waiting.until(lambda: "run-stuck" not in str(reviewers.acquired()), reviewers.acquired, seconds=SETTLED_SECONDS)
    assert reviewers.committed("stuck") == {}
    require_settled(reviewers, "stuck")
    events = {event["reason"]: event["message"] for event in events_of(reviewers, "run-stuck")}
    assert "a pod of its run may not start" in events["NoProgress"]
    assert "its time to settle was over" in events["Released"]


def test_a_run_that_is_terminated_without_its_exit_task_is_consumed_and_its_volume_is_gone(
    reviewers: Team, terminated: Future[list[Ending]]
) -> None:
    endings = terminated.result(timeout=SETTLED_SECONDS)
    assert states(endings) == [("allocate", "Completed"), ("download", "Completed")], summary(endings)
    waiting.until(lambda: "run-ended" not in str(reviewers.acquired()), reviewers.acquired, seconds=SETTLED_SECONDS)
    require_consumed(reviewers, "ended")


def test_no_object_and_no_volume_of_any_run_has_rows_of_the_data(unlocked: dict[str, Team]) -> None:
    """After all of the above: success, failure, lost pods, a time-out, a deadline and a termination."""
    for of_scheme in unlocked.values():
        of_scheme.require_nothing_of_the_data()
        assert len(of_scheme.store.objects(DATA)) == team.DAYS
        assert list(of_scheme.workspaces.iterdir()) == []
    runs = {key.split("/")[1] for key in unlocked["gs"].store.objects(ARTIFACTS)}
    assert runs == {"plain", "early", "slow", "stuck", "ended"}
    assert {key.split("/")[0] for key in unlocked["gs"].store.objects(RESULTS)} == {"plain"}
    assert {key.split("/")[0] for key in unlocked["s3"].store.objects(RESULTS)} == {"lost"}
    assert unlocked["gs"].node.list_objects("pvc", pods.NAMESPACE) == []
    assert "kfp-workspace" not in unlocked["gs"].node.kubectl("get", "pv")


def events_of(reviewers: Team, claim: str) -> list[Json]:
    """Return the Events of a claim."""
    events = reviewers.node.list_objects("events", pods.NAMESPACE)
    return [event for event in events if event["involvedObject"]["name"] == claim]


def require_consumed(reviewers: Team, run_id: str) -> None:
    """Check that the whole grant is consumed and nothing is published."""
    stored = reviewers.store.objects(ARTIFACTS, f"dp-lstm/{run_id}/allocate/grant")
    granted = json.loads(stored[f"dp-lstm/{run_id}/allocate/grant"])["blocks"]
    assert reviewers.committed(run_id) == {block["id"]: block["budget"] for block in granted}
    require_settled(reviewers, run_id)


def require_settled(reviewers: Team, run_id: str) -> None:
    """Check that no budget is held, nothing is published, and the ledger agrees."""
    assert reviewers.store.objects(RESULTS, run_id) == {}
    assert f"{pods.NAMESPACE}/run-{run_id}" not in reviewers.acquired()
    assert "latest digest sha256:" in reviewers.node.privatekube("ledger", "--verify")
    reviewers.require_nothing_of_the_data(run_id)
