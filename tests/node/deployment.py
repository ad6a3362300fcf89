"""The controller's Deployment on a node: its image, its pods, its leader, its metrics."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests import waiting
from tests.node import images
from tests.node.node import Json, Node

NAME, NAMESPACE = "privatekube-controller", "privatekube-system"
SELECTOR = "app=privatekube-controller"
MANIFESTS = images.ROOT / "manifests"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True)
class Deployment:
    """The controller, deployed by `kubectl apply -k`.

    Args:
        node: the node that it runs on.
        image: reference of its image by digest.
    """

    node: Node
    image: str

    def pods(self) -> list[Json]:
        """Return its pods that are not being deleted."""
        pods = self.node.list_objects("pods", NAMESPACE, SELECTOR)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def names(self) -> set[str]:
        """Return the names of its pods."""
        return {pod["metadata"]["name"] for pod in self.pods()}

    def leader(self) -> str:
        """Return the pod that holds the lease; empty if no pod does."""
        lease = self.node.read("lease", NAME, NAMESPACE)
        return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]

    def wait(self) -> None:
        """Wait until all its pods have the latest revision and are ready."""
        self.node.kubectl("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=180s")

    def unlock(self, policy: str) -> None:
        """Set another unlocking policy, and wait until the controller uses it."""
        setting = f"PRIVATEKUBE_UNLOCK={policy}"
        self.node.kubectl("set", "env", f"deployment/{NAME}", "-n", NAMESPACE, setting)
        self.wait()

    def metrics(self, pod: str) -> Samples:
        """Scrape a pod and return the values by name and labels."""
        text = self.node.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}

    def metric(self, pod: str, name: str, **labels: str) -> float:
        """Scrape a pod and return one value."""
        return self.metrics(pod)[name, tuple(sorted(labels.items()))]


def deploy(node: Node, base: str, folder: Path) -> Deployment:
    """Build the image, push it, pin it in a copy of the manifests, and apply that copy."""
    built = images.build(MANIFESTS / "controller" / "Dockerfile", "localhost/privatekube/controller:test", base=base)
    deployed = Deployment(node, node.push(built, "privatekube/controller"))
    copy = shutil.copytree(MANIFESTS, folder / "manifests")
    subprocess.run([copy / "pin-image.sh", "controller", deployed.image], check=True)
    node.kubectl("apply", "-k", str(copy / "overlays" / "standalone"))
    waiting.until_definitions_are_established(node.kubectl)
    deployed.wait()
    return deployed
