"""A folder of this machine that a node's pods share: the data, the hand-offs, what is published."""

from __future__ import annotations

import os
from pathlib import Path

from tests.node import pods
from tests.node.node import Json

NAME = "shared"
USER = 1000


def declare(folder: Path) -> tuple[Json, Json]:
    """The volume and the claim on it, bound to each other: `restricted` allows no hostPath in a pod itself."""
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


def writable(folder: Path) -> Path:
    """A new folder in it that belongs to the user of the pods, and to nobody else."""
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    return folder
