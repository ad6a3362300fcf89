"""Pods and namespaces that satisfy PodSecurity `restricted`."""

from __future__ import annotations

from typing import Any

from tests import builders, waiting
from tests.node.node import Json, Node

NAMESPACE = builders.NAMESPACE
_END_SECONDS = 120


def namespace() -> Json:
    """Return the namespace of the pods, which accepts restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def pod(name: str, image: str, script: str, *, memory: str = "64Mi", **spec: Any) -> Json:
    """Return a restricted pod that runs a Python script once."""
    container = {
        "name": "main",
        "image": image,
        "command": ["python3", "-c", script],
        "resources": {"limits": {"memory": memory, "cpu": "1"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"restartPolicy": "Never", "securityContext": security, "containers": [container], **spec},
    }


def wait_for_end(node: Node, name: str) -> Json:
    """Wait for the end of a pod's container and return its exit code and reason."""
    waiting.until(
        lambda: bool(_ends(node, name)),
        lambda: node.kubectl("describe", "pod", name, "-n", NAMESPACE),
        seconds=_END_SECONDS,
    )
    return _ends(node, name)[0]


def _ends(node: Node, name: str) -> list[Json]:
    statuses = node.read("pod", name, NAMESPACE)["status"].get("containerStatuses", [])
    return [status["state"]["terminated"] for status in statuses if "terminated" in status["state"]]


def log(node: Node, name: str) -> str:
    """Return the log of a pod."""
    return node.kubectl("logs", name, "-n", NAMESPACE)
