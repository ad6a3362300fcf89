"""`privatekube explain` on a real API server names the pods of a claim's run that do not start."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from privatekube.store.kubernetes import inspection
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, command_line
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
POD, RUNS = "dp-lstm-x-1", "runs-of-a-team"
LINE = (
    f"pod {POD} is Pending: Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.; lower what the "
    "step requests in the section cluster of arguments.yaml, or add a node"
)
Explain = Callable[..., tuple[str, str]]


@pytest.fixture
def plane(store: KubernetesStore) -> Plane:
    """A control plane with the claims of two runs and one that is of no run, all granted, and a refused one."""
    plane = Plane(store)
    store.create(builders.block())
    for name in ("run-r1", "run-r2", "r1"):
        store.create(builders.claim(name))
    store.create(builders.claim("run-refused", builders.allocate(0.1, blocks=9)))
    plane.run()
    return plane


@pytest.fixture
def pods(apiserver: ApiServer) -> Iterator[None]:
    """Pods that no node can take, of the run r1 and of the one that was refused, in a namespace of their own."""
    core = client.CoreV1Api(apiserver.api())
    core.create_namespace({"metadata": {"name": RUNS}})
    containers = [{"name": "main", "image": "example.org/none"}]
    spec: dict[str, Any] = {"containers": containers, "automountServiceAccountToken": False}
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    }
    for name, run_id in ((POD, "r1"), ("dp-lstm-y-1", "refused")):
        metadata = {"name": name, "labels": {inspection.RUN_LABEL: run_id}}
        core.create_namespaced_pod(RUNS, {"metadata": metadata, "spec": spec})
        core.patch_namespaced_pod_status(name, RUNS, {"status": {"conditions": [condition]}})
    yield
    core.delete_collection_namespaced_pod(RUNS, grace_period_seconds=0)


@pytest.fixture
def explain(apiserver: ApiServer, plane: Plane, pods: None, tmp_path: Path) -> Explain:
    """Return a function that explains a claim as a user, in a folder whose runs are in that namespace."""
    (tmp_path / "client_secrets.yaml").write_text(f"host: https://kubeflow.example.org\nnamespace: {RUNS}\n")

    def explaining(name: str, *options: str, who: str = "admin") -> tuple[str, str]:
        environment = {"PRIVATEKUBE_STORE": "kubernetes", "KUBECONFIG": str(apiserver.kubeconfig(who))}
        done = command_line.privatekube("explain", name, *options, folder=tmp_path, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return explaining


def test_the_pod_of_a_claims_run_that_does_not_start_is_named_with_the_reason(explain: Explain, plane: Plane) -> None:
    assert explain("run-r1")[0].splitlines()[-1] == LINE
    pods = json.loads(explain("run-r1", "-o", "json")[0])["pendingPods"]
    assert pods == [{"name": POD, "reason": LINE.partition("Pending: ")[2]}]
    for other in ("run-r2", "r1", "run-refused"):
        assert "Pending" not in "".join(explain(other))
    out, note = explain("run-r1", who="viewer")
    assert out.startswith("claim ns/run-r1: ")
    assert "note: which pods of its run do not start is not known: pods in runs-of-a-team: refused by the API" in note
