"""The compiled pipeline on a node: each step is a restricted pod of its pushed image, and some pods are deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import dp_lstm
from tests import waiting
from tests.e2e import leaks
from tests.e2e.conftest import Laptop
from tests.node import components, pods, published, team
from tests.node import node as nodes
from tests.node.deployment import Deployment
from tests.node.node import Node
from tests.node.team import Team
from tests.node.workflow import DELETED, Ending

pytestmark = [
    pytest.mark.node,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(nodes.KUBECONFIG in os.environ, reason="pods exchange files in a folder of this machine"),
]
STEPS = [step.replace("_", "-") for step in dp_lstm.STEPS]
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
BEGUN_SECONDS = 300


@pytest.fixture(scope="module")
def waiters(node: Node, controller: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team with two blocks of reviews, whose budget the controller unlocks bit by bit."""
    controller.unlock("n=100")
    compiled = components.pipeline(node, tmp_path_factory.mktemp("components"))
    return team.set_up(node, compiled, tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("private"))


@pytest.fixture(scope="module")
def reviewers(waiters: Team, controller: Deployment) -> Iterator[Team]:
    """The same team, with all budget of a block unlocked from the start."""
    controller.unlock("all")
    yield waiters
    controller.unlock("n=10")


@pytest.fixture(scope="module")
def plain(reviewers: Team) -> list[Ending]:
    """A run without any fault."""
    return reviewers.run("plain")


def states(endings: list[Ending]) -> list[tuple[str, str]]:
    return [(ending.step, ending.reason) for ending in endings]


def summary(endings: list[Ending]) -> str:
    return "\n".join(f"{ending.step}: {ending.reason} {ending.exit_code}\n{ending.log}" for ending in endings)


def test_a_run_that_waits_in_vain_is_told_what_there_is_and_costs_nothing(waiters: Team) -> None:
    endings = waiters.run("patient", "timeout_seconds=3")
    assert states(endings) == [("allocate", "Error"), ("release", "Completed")], summary(endings)
    for expected in ("error: claim ns/run-patient: not granted within 3 s", "policy n=100 unlocks it"):
        assert expected in endings[0].log
    assert waiters.committed("patient") == {}
    require_settled(waiters, "patient")


def test_a_run_in_pods_publishes_and_pays_as_a_local_one_does(
    reviewers: Team, plain: list[Ending], tmp_path: Path
) -> None:
    assert states(plain) == [(step, "Completed") for step in STEPS], summary(plain)
    folder = reviewers.published / "plain"
    receipt = published.read(folder / "receipt.json")
    assert len(receipt["committed"]) == 2
    require_nothing_of_the_data(reviewers, "plain")
    assert reviewers.committed("plain") == receipt["committed"]
    assert "latest digest sha256:" in reviewers.node.privatekube("ledger", "--verify")

    laptop = Laptop(tmp_path)
    laptop.run("demo_blocks.py", *team.BLOCKS)
    laptop.pipeline(*team.SETTINGS)
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
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert "/var/run/secrets/kubernetes.io/serviceaccount" in mounts


def deleted_in_the_middle(reviewers: Team) -> Any:
    """Return a function that deletes a pod of dp_train once it takes its noisy steps."""

    def delete(pod: str) -> None:
        def trains() -> bool:
            phase = reviewers.node.read("pod", pod, pods.NAMESPACE)["status"]["phase"]
            return phase != "Pending" and "noisy step" in pods.log(reviewers.node, pod)

        waiting.until(trains, BEGUN_SECONDS, lambda: reviewers.node.read("pod", pod, pods.NAMESPACE)["status"])
        reviewers.node.kubectl("delete", "pod", pod, "-n", pods.NAMESPACE, "--grace-period=1")

    return delete


def test_a_run_of_which_every_first_pod_is_lost_releases_and_pays_once(
    reviewers: Team,
) -> None:
    def lose(pod: str) -> None:
        if pod.endswith("-0"):
            reviewers.node.kubectl("delete", "pod", pod, "-n", pods.NAMESPACE, "--grace-period=0", "--force")

    train = deleted_in_the_middle(reviewers)
    faults: dict[str, Any] = dict.fromkeys(STEPS, lose)
    faults["dp-train"] = lambda pod: train(pod) if pod.endswith("-0") else None
    endings = reviewers.run("lost", "n_epochs=2", "sampling_rate=0.02", faults=faults)  # 100 steps, some seconds
    assert states(endings) == [(step, how) for step in STEPS for how in (DELETED, "Completed")], summary(endings)
    receipt = published.read(reviewers.published / "lost" / "receipt.json")
    assert reviewers.committed("lost") == receipt["committed"]
    assert [spend["step"] for spend in receipt["spends"]] == ["dp_preprocess", "dp_train", "dp_evaluate"]
    require_nothing_of_the_data(reviewers, "lost")


def test_a_training_that_runs_out_of_memory_is_said_to_and_the_claim_is_consumed(reviewers: Team) -> None:
    endings = reviewers.run("hungry", memory={"dp-train": "128Mi"})
    assert states(endings)[-2:] == [("dp-train", "OOMKilled"), ("release", "Completed")], summary(endings)
    assert endings[-2].exit_code == 137
    require_consumed(reviewers, "hungry", endings)


def test_a_step_that_ends_before_the_data_was_opened_costs_nothing(reviewers: Team) -> None:
    endings = reviewers.run("early", memory={"download": "32Mi"})
    tried = [("allocate", "Completed"), ("download", "OOMKilled")]  # KFP does not run a step again that failed
    assert states(endings) == [*tried, ("release", "Completed")], summary(endings)
    assert "run ended FAILED; settled run-early: released" in endings[-1].log
    assert reviewers.committed("early") == {}
    require_settled(reviewers, "early")


def require_consumed(reviewers: Team, run_id: str, endings: list[Ending]) -> None:
    """Check that the whole grant is consumed and nothing is published."""
    assert f"run ended FAILED; settled run-{run_id}: consumed" in endings[-1].log
    granted = published.read(reviewers.shared / run_id / "allocate" / "grant")["blocks"]
    assert reviewers.committed(run_id) == {block["id"]: block["budget"] for block in granted}
    require_settled(reviewers, run_id)


def require_settled(reviewers: Team, run_id: str) -> None:
    """Check that no budget is held, nothing is published, and the ledger agrees."""
    assert not (reviewers.published / run_id).exists()
    assert f"{pods.NAMESPACE}/run-{run_id}" not in reviewers.acquired()
    assert "latest digest sha256:" in reviewers.node.privatekube("ledger", "--verify")
    require_nothing_of_the_data(reviewers, run_id)


def require_nothing_of_the_data(reviewers: Team, run_id: str) -> None:
    """Check that no object of the run's artifact store has rows of the data, and that its workspace is erased."""
    marks = [mark for block in (reviewers.shared / "data").rglob("*.h5") for mark in leaks.marks(block)]
    objects = [path for path in (reviewers.shared / run_id).rglob("*") if path.is_file()]
    assert marks
    assert [path for path in objects if leaks.has_any(path, marks)] == []
    workspaces = reviewers.shared.parent / f"{reviewers.shared.name}-workspaces"
    assert list((workspaces / run_id).iterdir()) == []
