"""The volume of a run's workspace: made by hand, since the node has no provisioner, and deleted by Kubernetes."""

from __future__ import annotations

from pathlib import Path

from tests import waiting
from tests.node import pods
from tests.node.node import Json, Node

CLASS = "by-hand"
"""The storage class of workspaces."""
_DELETED_SECONDS = 120


def claim_name(run_id: str) -> str:
    """Return the name of the claim that Argo makes of a run's workspace."""
    return f"{run_id}-kfp-workspace"


def workspace(run_id: str, folder: Path, stated: Json) -> tuple[Json, Json]:
    """Return a volume as a provisioner makes it, and the claim that KFP's API server makes of the compiled package.

    Kubernetes deletes what is in a folder below /tmp with its claim, as other volumes.
    """
    assert folder.is_relative_to("/tmp"), folder  # noqa: S108 - Kubernetes deletes no other folder
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    name, patch = claim_name(run_id), stated["kubernetes"]["pvcSpecPatch"]
    reference, size = {"name": name, "namespace": pods.NAMESPACE}, {"storage": stated["size"]}
    spec = {
        "capacity": size,
        "accessModes": patch["accessModes"],
        "storageClassName": CLASS,
        "hostPath": {"path": str(folder), "type": "Directory"},
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": "Delete",
    }
    request = {**patch, "resources": {"requests": size}}
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": reference, "spec": request},
    )


def delete(node: Node, run_id: str) -> None:
    """Delete the claim of a run's workspace, as Argo does when the run has ended, and wait until its volume is gone.

    The pods that have ended are kept, and would protect the claim: Argo takes the protection away.
    """
    name = claim_name(run_id)
    node.kubectl("delete", "pvc", name, "-n", pods.NAMESPACE, "--wait=false")
    unprotected = '{"metadata": {"finalizers": null}}'
    try:
        node.kubectl("patch", "pvc", name, "-n", pods.NAMESPACE, "--type=merge", "-p", unprotected)
    except AssertionError as error:  # no pod named it, so it is gone already
        assert "NotFound" in str(error)  # noqa: PT017 - any other failure fails the test
    waiting.until(
        lambda: name not in node.kubectl("get", "pv", "-o", "name"),
        lambda: node.kubectl("describe", "pv", name),
        seconds=_DELETED_SECONDS,
    )
