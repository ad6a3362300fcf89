"""The deployed controller: two replicas of its image, under PodSecurity `restricted`, whose pods are deleted."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest

from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.node import accounts, claimant, pods
from tests.node.bursts import DEMAND, Burst
from tests.node.deployment import NAME, NAMESPACE, Deployment
from tests.node.node import Node

pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]
CLAIMS = 90


@pytest.fixture
def store(node: Node, controller: Deployment) -> Iterator[KubernetesStore]:
    """The administrator's view of the cluster."""
    controller.wait()
    node.apply(pods.namespace())
    with node.enter_network():
        opened = KubernetesStore(Cluster(api := node.api()), CoreObjects(api))
        yield opened
        opened.close()


def test_two_restricted_replicas_of_the_pinned_image_are_ready_and_one_leads(controller: Deployment) -> None:
    running = controller.pods()
    assert len(running) == 2
    for pod in running:
        (status,) = pod["status"]["containerStatuses"]
        assert status["ready"]
        assert status["restartCount"] == 0
        assert status["imageID"] == controller.image
        assert pod["spec"]["containers"][0]["image"] == controller.image
    leader = controller.leader()
    assert {name: controller.metric(name, "privatekube_leader") for name in controller.names()} == {
        name: float(name == leader) for name in controller.names()
    }


def test_a_burst_is_granted_and_shows_in_the_metrics(controller: Deployment, store: KubernetesStore) -> None:
    burst = Burst(store, "plain")
    burst.create_blocks()
    leader = controller.leader()
    before = controller.metric(leader, "privatekube_grants_total")
    burst.create_claims(range(CLAIMS))
    burst.wait(CLAIMS)
    burst.require_paid_once(CLAIMS)
    assert controller.metric(leader, "privatekube_grants_total") == before + CLAIMS
    labels = {"namespace": builders.NAMESPACE, "dataset": "plain"}
    most = controller.metric(leader, "privatekube_dataset_most_committed_ratio", **labels)
    assert most == pytest.approx(CLAIMS * 0.004)
    left = controller.metric(leader, "privatekube_dataset_least_epsilon_left", **labels)
    assert left == pytest.approx(10 - CLAIMS * 0.04)


@pytest.mark.parametrize(
    ("name", "how"), [("terminated", ()), ("killed", ("--grace-period=0", "--force"))], ids=["terminated", "killed"]
)
def test_the_leaders_pod_is_deleted_in_a_burst_and_another_takes_over(
    controller: Deployment, store: KubernetesStore, name: str, how: tuple[str, ...]
) -> None:
    burst = Burst(store, name)
    burst.create_blocks()
    leader = controller.leader()
    burst.create_claims(range(CLAIMS // 3))
    controller.node.kubectl("delete", "pod", leader, "-n", NAMESPACE, "--wait=false", *how)
    burst.create_claims(range(CLAIMS // 3, CLAIMS))
    assert burst.answered() < CLAIMS, "the burst ended before the leader did"
    waiting.until(lambda: controller.leader() in controller.names() - {leader}, controller.leader)
    burst.wait(CLAIMS)
    burst.require_paid_once(CLAIMS)
    assert "latest digest sha256:" in controller.node.privatekube("ledger", "--verify")
    controller.wait()
    assert leader not in controller.names()


def test_a_rolling_update_in_a_burst_loses_and_doubles_nothing(controller: Deployment, store: KubernetesStore) -> None:
    burst = Burst(store, "rolling")
    burst.create_blocks()
    old = controller.names()
    burst.create_claims(range(CLAIMS // 3))
    controller.node.kubectl("rollout", "restart", f"deployment/{NAME}", "-n", NAMESPACE)
    burst.create_claims(range(CLAIMS // 3, CLAIMS))
    controller.wait()
    burst.create_claims(range(CLAIMS, CLAIMS + CLAIMS // 3))
    burst.wait(CLAIMS + CLAIMS // 3)
    burst.require_paid_once(CLAIMS + CLAIMS // 3)
    assert "latest digest sha256:" in controller.node.privatekube("ledger", "--verify")
    assert not old & controller.names()
    assert controller.leader() in controller.names()


def test_a_pod_with_its_projected_token_is_granted_and_cannot_answer_itself(
    controller: Deployment, store: KubernetesStore
) -> None:
    Burst(store, claimant.DATASET, blocks=1).create_blocks()
    accounts.bind_claimant(controller.node)
    script = inspect.getsource(claimant)
    pod = pods.pod("claimant", controller.image, script, memory="256Mi", serviceAccountName=accounts.CLAIMANT)
    controller.node.apply(pod)
    assert pods.wait_for_end(controller.node, "claimant")["exitCode"] == 0, pods.log(controller.node, "claimant")
    report = json.loads(pods.log(controller.node, "claimant"))
    assert report["answers"] == ["success"]
    assert len(report["refused"]) == 3
    assert all(re.search("forbidden: User .*:default-editor", refusal) for refusal in report["refused"])
    claim = store.get_claim(f"{claimant.NAMESPACE}/{claimant.NAME}")
    assert claim is not None
    assert claim.status.acquired == {f"{claimant.NAMESPACE}/{claimant.DATASET}-0": DEMAND}
