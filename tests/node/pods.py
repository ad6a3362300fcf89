"""Pods and namespaces as PodSecurity `restricted` wants them."""

from __future__ import annotations

from typing import Any

from tests import builders
from tests.node import waiting
from tests.node.node import Json, Node

NAMESPACE = builders.NAMESPACE
_END_SECONDS = 120


def namespace() -> Json:
    """Their namespace; it takes no other pods than restricted ones."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def pod(name: str, image: str, script: str, *, memory: str = "64Mi", **spec: Any) -> Json:
    """A restricted pod that runs a Python script once."""
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


def ended(node: Node, name: str) -> Json:
    """How the container of a pod ended: its exit code and reason."""
    waiting.until(
        lambda: bool(_ends(node, name)), _END_SECONDS, lambda: node.kubectl("describe", "pod", name, "-n", NAMESPACE)
    )
    return _ends(node, name)[0]


def _ends(node: Node, name: str) -> list[Json]:
    statuses = node.read("pod", name, NAMESPACE)["status"].get("containerStatuses", [])
    return [each["state"]["terminated"] for each in statuses if "terminated" in each["state"]]


def log(node: Node, name: str) -> str:
    """What a pod wrote."""
    return node.kubectl("logs", name, "-n", NAMESPACE)
