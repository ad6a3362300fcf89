"""Kueue's objects on an API server: workloads, and the admission checks that this controller decides."""

from __future__ import annotations

from kubernetes import client

from privatekube.controller.kueue.verdict import Verdict
from privatekube.controller.kueue.workload import Workload, true_conditions
from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.custom_objects import ApiGroup, Cluster

GROUP = ApiGroup("kueue.x-k8s.io", "v1beta2", "install Kueue 0.15 or later")
CONTROLLER_NAME = "columbia.github.com/privacy-budget"
"""`spec.controllerName` of the AdmissionChecks that are decided here."""
WORKLOADS, ADMISSION_CHECKS = "workloads", "admissionchecks"
_MANAGER, _ACTIVE = "privatekube-kueue", "Active"


class KueueObjects:
    """Reads and writes Kueue's objects; raises the errors of `custom_objects.Cluster`.

    Args:
        api: the connection.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self.cluster = Cluster(api, group=GROUP)

    def workload(self, namespace: str, name: str) -> Workload | None:
        """Return a workload as it is on the server; None if it does not exist."""
        document = self.cluster.get(WORKLOADS, name, namespace)
        return None if document is None else Workload.from_document(document)

    def activate_checks(self, *, now_ms: int) -> frozenset[str]:
        """Report each AdmissionCheck of this controller as active, and return their names."""
        documents = self.cluster.list_objects(ADMISSION_CHECKS)
        checks = [document for document in documents if document["spec"]["controllerName"] == CONTROLLER_NAME]
        for document in checks:
            if _ACTIVE not in dict(true_conditions(document.get("status", {}))):
                self._activate(document, now_ms)
        return frozenset(document["metadata"]["name"] for document in checks)

    def set_state(self, workload: Workload, check: str, verdict: Verdict, *, now_ms: int) -> None:
        """Write the state of one admission check of a workload; Conflict if the workload has changed."""
        state: Json = {
            "name": check,
            "state": str(verdict.state),
            "message": verdict.message,
            "lastTransitionTime": meta.format_time(now_ms),
        }
        if verdict.retry_seconds is not None:
            state["requeueAfterSeconds"] = verdict.retry_seconds
        identity = {"name": workload.name, "namespace": workload.namespace, "resourceVersion": workload.version}
        document = {"kind": "Workload", "metadata": identity, "status": {"admissionChecks": [state]}}
        self.cluster.apply_status(WORKLOADS, document, manager=_MANAGER)

    def _activate(self, document: Json, now_ms: int) -> None:
        identity = {name: document["metadata"][name] for name in ("name", "resourceVersion")}
        condition = {
            "type": _ACTIVE,
            "status": "True",
            "reason": _ACTIVE,
            "message": "the controller of privacy budget decides it",
            "lastTransitionTime": meta.format_time(now_ms // 1000 * 1000),
            "observedGeneration": document["metadata"]["generation"],
        }
        active = {"kind": "AdmissionCheck", "metadata": identity, "status": {"conditions": [condition]}}
        self.cluster.apply_status(ADMISSION_CHECKS, active, manager=_MANAGER)
