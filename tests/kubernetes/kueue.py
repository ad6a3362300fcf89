"""Kueue on the API server of the tests: its published definitions, and what Kueue itself writes to a Workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from privatekube import errors, retries
from privatekube.controller.kueue import kueue_objects, workload
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.kubernetes import published
from tests.kubernetes.apiserver import ApiServer

VERSION, CHECKSUM = "v0.17.0", "h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I="
KINDS = (kueue_objects.WORKLOADS, kueue_objects.ADMISSION_CHECKS)
CHECK, OTHER_CHECK = "privacy-budget", "prov"
_MANAGER = "kueue-admission"
_TIME = "2026-11-27T10:00:00Z"


def definitions() -> list[str]:
    """Return the published definitions of the two kinds, as options of kubectl."""
    folder = published.module("sigs.k8s.io/kueue", VERSION, CHECKSUM) / "config" / "components" / "crd" / "bases"
    return [word for kind in KINDS for word in ("-f", str(folder / f"kueue.x-k8s.io_{kind}.yaml"))]


def install(server: ApiServer) -> None:
    """Install the definitions, and wait until both kinds are served."""
    server.kubectl("apply", "--server-side", *definitions())
    cluster = Cluster(server.api(), group=kueue_objects.GROUP)
    for plural in KINDS:
        retries.call(partial(cluster.list_objects, plural), on=errors.NotServed, timeout_seconds=60)
    cluster.close()


def uninstall(server: ApiServer) -> None:
    """Remove the definitions, and all objects of these kinds."""
    server.kubectl("delete", *definitions())


@dataclass
class Kueue:
    """Does to workloads in the namespace ns what Kueue does, as its own field manager."""

    server: ApiServer

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.server.api(), group=kueue_objects.GROUP)

    def submit(self, name: str = "w", claims: Sequence[str] = ("c",), *, namespace: str = "ns") -> None:
        """Create the workload of a job whose pod templates name these claims."""
        pod = {"containers": [{"name": "main", "image": "training"}], "restartPolicy": "Never"}
        pod_sets = [
            {"name": f"set-{index}", "count": 1, "template": {"metadata": _annotated(claim), "spec": pod}}
            for index, claim in enumerate(claims or ("",))
        ]
        spec = {"queueName": "users", "podSets": pod_sets}
        identity = {"name": name, "namespace": namespace}
        document = {"apiVersion": kueue_objects.GROUP.api_version, "kind": "Workload", "metadata": identity}
        self.cluster.create(kueue_objects.WORKLOADS, {**document, "spec": spec})

    def reserve(self, name: str = "w", *, at: str | None = None, namespace: str = "ns") -> None:
        """Reserve quota, which starts the checks."""
        prov = {"name": "set-0", "annotations": {"provisioned": "yes"}}
        checks = [_check(CHECK), {**_check(OTHER_CHECK), "state": "Ready", "podSetUpdates": [prov]}]
        self._apply(name, namespace, {"QuotaReserved": "True", "Evicted": "False"}, checks, at=at)

    def evict(self, name: str = "w") -> None:
        """Take the quota of a workload back; it is queued again."""
        self._apply(name, "ns", {"QuotaReserved": "False", "Evicted": "True"}, [_check(CHECK), _check(OTHER_CHECK)])

    def admit(self, name: str = "w") -> None:
        """Admit a workload: its pods may run."""
        self._apply(name, "ns", {"QuotaReserved": "True", "Admitted": "True"}, self._checks(name))

    def finish(self, name: str = "w") -> None:
        """Say that the job has finished."""
        conditions = {"QuotaReserved": "True", "Admitted": "True", "Finished": "True"}
        self._apply(name, "ns", conditions, self._checks(name))

    def deactivate(self, name: str = "w") -> None:
        """Deactivate a workload, as a user or Kueue does."""

        def write() -> None:
            document = self.document(name)
            document["spec"]["active"] = False
            self.cluster.replace(kueue_objects.WORKLOADS, document)

        retries.call(write, on=errors.Conflict, attempts=10)

    def delete(self, name: str = "w") -> None:
        """Delete a workload, as the garbage collection does with its job."""
        retries.call(
            lambda: self.cluster.delete(kueue_objects.WORKLOADS, self.document(name)), on=errors.Conflict, attempts=10
        )

    def clear(self) -> None:
        """Delete all workloads and admission checks."""
        for plural in KINDS:
            self.server.kubectl("delete", f"{plural}.{kueue_objects.GROUP.name}", "--all", "--all-namespaces")

    def document(self, name: str = "w", *, namespace: str = "ns") -> Json:
        """Return a workload as it is on the server."""
        document = self.cluster.get(kueue_objects.WORKLOADS, name, namespace)
        assert document is not None
        return document

    def check(self, name: str = "w", check: str = CHECK, *, namespace: str = "ns") -> dict[str, Any]:
        """Return the entry of an admission check of a workload."""
        checks = self.document(name, namespace=namespace)["status"]["admissionChecks"]
        return next(item for item in checks if item["name"] == check)

    def state(self, name: str = "w", *, namespace: str = "ns") -> str:
        """Return the state of the check of privacy budget, and why."""
        entry = self.check(name, namespace=namespace)
        return f"{entry['state']}: {entry['message']}"

    def _checks(self, name: str) -> list[Json]:
        checks: list[Json] = self.document(name)["status"]["admissionChecks"]
        return checks

    def _apply(
        self, name: str, namespace: str, conditions: dict[str, str], checks: list[Json], *, at: str | None = None
    ) -> None:
        """Apply a status as Kueue does: whole, by force, with its own manager."""

        def write() -> None:
            version = self.document(name, namespace=namespace)["metadata"]["resourceVersion"]
            identity = {"name": name, "namespace": namespace, "resourceVersion": version}
            status = {
                "conditions": [_condition(*item, at=at) for item in conditions.items()],
                "admissionChecks": checks,
            }
            document = {"kind": "Workload", "metadata": identity, "status": status}
            self.cluster.apply_status(kueue_objects.WORKLOADS, document, manager=_MANAGER)

        retries.call(write, on=errors.Conflict, attempts=10)


def _annotated(claim: str) -> Json:
    return {"annotations": {workload.CLAIM: claim}} if claim else {}


def _check(name: str) -> Json:
    return {"name": name, "state": "Pending", "message": "", "lastTransitionTime": _TIME}


def _condition(name: str, status: str, *, at: str | None) -> Json:
    """Return a condition that holds since a time; by default since a time that is far in the future."""
    time = at or "2099-01-01T00:00:00Z"
    return {"type": name, "status": status, "reason": name, "message": "", "lastTransitionTime": time}
