"""The accounts of a team on a cluster, with the roles of the manifests and their own tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from tests.node import pods
from tests.node.deployment import MANIFESTS
from tests.node.node import Json, Node

CLAIMANT, OWNER = "default-editor", "data-owner"


def bind_claimant(node: Node) -> None:
    """Create a service account for runs, bound as in manifests/user-role_secrets.example.yaml."""
    example = (MANIFESTS / "user-role_secrets.example.yaml").read_text().replace("my-team", pods.NAMESPACE)
    node.apply(_account(CLAIMANT))
    node.kubectl("apply", "-f", "-", stdin=example)


def data_owner(node: Node, folder: Path) -> Node:
    """Return the node as seen by a user who may declare blocks and nothing else; their kubeconfig is in `folder`.

    The role is cluster-wide: data that is registered in another namespace is not registered again.
    """
    subject = {"kind": "ServiceAccount", "name": OWNER, "namespace": pods.NAMESPACE}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": OWNER},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "privatekube-data-owner",
        },
        "subjects": [subject],
    }
    node.apply(_account(OWNER), binding)
    document = yaml.safe_load(node.kubeconfig.read_text())
    token = node.kubectl("create", "token", OWNER, "-n", pods.NAMESPACE).strip()
    for user in document["users"]:
        user["user"] = {"token": token}
    kubeconfig = folder / "data-owner.kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(document))
    return replace(node, kubeconfig=kubeconfig)


def _account(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": pods.NAMESPACE}}
