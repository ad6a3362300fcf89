"""A folder of this machine that a node's pods share: the data, the artifacts, the published results."""

from __future__ import annotations

import os
from pathlib import Path

from tests.node import pods
from tests.node.node import Json

NAME = "shared"
USER = 1000


def manifests(folder: Path) -> tuple[Json, Json]:
    """Return a volume and a claim bound to it, because `restricted` forbids hostPath in a pod."""
    size, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
    reference = {"name": NAME, "namespace": pods.NAMESPACE}
    spec = {
        "capacity": size,
        "accessModes": modes,
        "storageClassName": "",
        "hostPath": {"path": str(folder), "type": "Directory"},
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": "Retain",
    }
    request = {"accessModes": modes, "storageClassName": "", "volumeName": NAME, "resources": {"requests": size}}
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": NAME}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": reference, "spec": request},
    )


CLASS = "by-hand"
"""The storage class of workspaces: the node has no provisioner, so the tests make each volume."""


def workspace_name(run_id: str) -> str:
    """Return the name of the claim that Argo makes of a run's workspace."""
    return f"{run_id}-kfp-workspace"


def workspace(run_id: str, folder: Path, stated: Json) -> tuple[Json, Json]:
    """Return a volume as a provisioner makes it, and the claim that KFP's API server makes of the compiled package."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    name, patch = workspace_name(run_id), stated["kubernetes"]["pvcSpecPatch"]
    reference, size = {"name": name, "namespace": pods.NAMESPACE}, {"storage": stated["size"]}
    spec = {
        "capacity": size,
        "accessModes": patch["accessModes"],
        "storageClassName": CLASS,
        "hostPath": {"path": str(folder), "type": "Directory"},
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": "Retain",
    }
    request = {**patch, "resources": {"requests": size}}
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": reference, "spec": request},
    )


def create_folder(folder: Path) -> Path:
    """Create a folder in it that only the user of the pods may access."""
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    return folder


def give(folder: Path) -> None:
    """Give a folder that its owner alone can read to the user of the pods, with everything in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
