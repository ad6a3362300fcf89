"""The controller's Deployment on a node: its image, its pods, who leads, what they tell Prometheus."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.node import images
from tests.node.node import Json, Node

NAME, NAMESPACE = "privatekube-controller", "privatekube-system"
SELECTOR = "app=privatekube-controller"
MANIFESTS = images.ROOT / "manifests"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True)
class Deployment:
    """The controller as `kubectl apply -k` leaves it.

    Args:
        node: where it runs.
        image: its reference by digest.
    """

    node: Node
    image: str

    def pods(self) -> list[Json]:
        """Its pods that are not being deleted."""
        found = self.node.listed("pods", NAMESPACE, SELECTOR)
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def names(self) -> set[str]:
        """Of its pods."""
        return {each["metadata"]["name"] for each in self.pods()}

    def leader(self) -> str:
        """The pod that holds the lease; empty where it was given back."""
        lease = self.node.read("lease", NAME, NAMESPACE)
        return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]

    def wait(self) -> None:
        """Wait until all its pods are of the latest revision, and ready."""
        self.node.kubectl("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=180s")

    def unlock(self, policy: str) -> None:
        """Have it unlock budget by another policy, and wait until it does."""
        setting = f"PRIVATEKUBE_UNLOCK={policy}"
        self.node.kubectl("set", "env", f"deployment/{NAME}", "-n", NAMESPACE, setting)
        self.wait()

    def metrics(self, pod: str) -> Samples:
        """What a scrape of a pod gives: values by name and labels."""
        text = self.node.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}

    def metric(self, pod: str, name: str, **labels: str) -> float:
        """One value of a scrape."""
        return self.metrics(pod)[name, tuple(sorted(labels.items()))]


def deploy(node: Node, base: str, folder: Path) -> Deployment:
    """Build the image, push it, pin it in a copy of the manifests, and apply that copy."""
    built = images.build(MANIFESTS / "controller" / "Dockerfile", "localhost/privatekube/controller:test", base=base)
    deployed = Deployment(node, node.push(built, "privatekube/controller"))
    copy = shutil.copytree(MANIFESTS, folder / "manifests")
    subprocess.run([copy / "controller" / "pin-image.sh", deployed.image], check=True)
    node.kubectl("apply", "-k", str(copy / "overlays" / "standalone"))
    node.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    deployed.wait()
    return deployed
