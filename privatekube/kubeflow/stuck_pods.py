"""The pods of a run that do not start, as the cluster has them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from privatekube import errors
from privatekube.client import connect
from privatekube.kubeflow import cluster_file, pending_pods
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.responses import ResponseState
from privatekube.store.kubernetes.inspection import Inspection


@dataclass(frozen=True, slots=True)
class StuckPod:
    """A pod that has not started its containers.

    Args:
        name: of the pod.
        namespace: of the pod.
        reason: why it does not start and what to do; None if Kubernetes does not say.
        document: the pod.
    """

    name: str
    namespace: str
    reason: str | None
    document: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"pod {self.name} is Pending: {self.reason or 'Kubernetes does not say why'}"


def of_run(inspection: Inspection, namespace: str, run_id: str) -> Iterator[StuckPod]:
    """Yield the pods of a run in a namespace that do not start.

    Raises:
        NotServed: this user may not look.
    """
    for pod in inspection.pods(namespace, run_id):
        if pending_pods.is_pending(pod):
            name = pod["metadata"]["name"]
            yield StuckPod(name, namespace, pending_pods.reason(pod, inspection.events(namespace, name)), pod)


def of_claim(inspection: Inspection, claim: PrivacyBudgetClaim) -> Iterator[StuckPod]:
    """Yield the pods that do not start of the run that a claim is named after; none once the claim is settled.

    They are in the namespace that client_secrets.yaml in this folder names, or in that of the claim.

    Raises:
        NotServed: this user may not look.
    """
    prefix = connect.claim_name("")
    waits = any(response.state is ResponseState.PENDING for response in claim.status.responses)
    if not claim.meta.name.startswith(prefix) or not (waits or claim.status.acquired):
        return
    for namespace in dict.fromkeys(filter(None, (_of_file(), claim.meta.namespace))):
        yield from of_run(inspection, namespace, claim.meta.name.removeprefix(prefix))


def _of_file() -> str | None:
    """Return the namespace of runs; None without a file, or with one that cannot be read."""
    with contextlib.suppress(errors.InvalidInput):
        return cluster_file.load().namespace
    return None
