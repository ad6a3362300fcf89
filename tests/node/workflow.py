"""The compiled pipeline's steps as pods, one after another, and the exit task after them, however they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.node import accounts, pods, volume, waiting
from tests.node.compiled import Compiled, Scope, Step
from tests.node.node import Json, Node

IN_CLUSTER = {"allocate", "download", "consume", "release"}
"""Steps that talk to the control plane; the others get no token, and no address of it."""
DELETED = "Deleted"
_END_SECONDS = 300  # the first pod of the training image waits until 3 GB are unpacked
_REQUESTS = {"cpu": "50m", "memory": "16Mi"}
"""Limits are the compiled spec's, also where the node has less: Kubernetes reserves what is requested."""


@dataclass(frozen=True)
class Ending:
    """How a pod of a step ended.

    Args:
        step: its name.
        reason: Kubernetes' word: Completed, Error, OOMKilled; or Deleted, where the pod is gone.
        exit_code: of the container; None of a deleted pod.
        image: what ran, as the node says it.
        log: what it wrote.
    """

    step: str
    reason: str
    exit_code: int | None = None
    image: str = ""
    log: str = ""


@dataclass(frozen=True)
class Run:
    """One run of the pipeline on a node.

    Args:
        node: where.
        compiled: what.
        run_id: in the names of its pods and of its claim.
        shared: the volume's folder, which pods see under the same path; hand-offs are below it.
        parameters: the pipeline's.
        memory: lower limits than the compiled ones, by step.
        meddling: what befalls a step once its pod was made, by step; it is told the pod's name.
    """

    node: Node
    compiled: Compiled
    run_id: str
    shared: Path
    parameters: Mapping[str, Any]
    memory: Mapping[str, str] = field(default_factory=dict)
    meddling: Mapping[str, Callable[[str], None]] = field(default_factory=dict)

    def to_its_end(self) -> list[Ending]:
        """Run the guarded steps until one fails for good, and then the exit task; the pods' endings in order."""
        inner, outer = self.compiled.scopes(self.run_id, volume.writable(self.shared / self.run_id), self.parameters)
        endings: list[Ending] = []
        for step in self.compiled.guarded:
            endings += self._tried(step, inner)
            if endings[-1].exit_code != 0:
                break
        state = "SUCCEEDED" if endings[-1].exit_code == 0 else "FAILED"
        return endings + self._tried(self.compiled.exit_step, outer, {"state": state})

    def _tried(self, step: Step, scope: Scope, status: Json | None = None) -> list[Ending]:
        """As often as the compiled spec says; its pauses are left out."""
        endings: list[Ending] = []
        for attempt in range(1 + step.retries):
            name = f"{self.run_id}-{step.name}-{attempt}"
            self.node.apply(self._pod(name, step, step.command(scope, status)))
            if step.name in self.meddling:
                self.meddling[step.name](name)
            endings.append(self._ended(name, step.name))
            if endings[-1].exit_code == 0:
                break
        return endings

    def _pod(self, name: str, step: Step, command: list[str]) -> Json:
        asks = step.name in IN_CLUSTER
        document = pods.pod(
            name,
            step.container["image"],
            "",
            automountServiceAccountToken=asks,
            serviceAccountName=accounts.CLAIMANT if asks else "default",
            enableServiceLinks=False,
            volumes=[
                {"name": "temporary", "emptyDir": {}},
                {"name": volume.NAME, "persistentVolumeClaim": {"claimName": volume.NAME}},
            ],
        )
        limits = step.limits | ({"memory": self.memory[step.name]} if step.name in self.memory else {})
        document["spec"]["containers"][0] |= {
            "command": command,
            "env": [{"name": "PRIVATEKUBE_STORE", "value": "kubernetes"}] if asks else [],
            "resources": {"limits": limits, "requests": _REQUESTS},
            "volumeMounts": [
                {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - the pod's own, see docs/images.md
                {"name": volume.NAME, "mountPath": str(self.shared)},
            ],
        }
        return document

    def _ended(self, name: str, step: str) -> Ending:
        waiting.until(
            lambda: self._seen(name, step) is not None,
            _END_SECONDS,
            lambda: self.node.kubectl("describe", "pod", name, "-n", pods.NAMESPACE),
        )
        found = self._seen(name, step)
        assert found is not None
        return found

    def _seen(self, name: str, step: str) -> Ending | None:
        named = [each for each in self.node.listed("pods", pods.NAMESPACE) if each["metadata"]["name"] == name]
        if not named:
            return Ending(step, DELETED)
        for status in named[0]["status"].get("containerStatuses", []):
            end = status["state"].get("terminated")
            if end and "deletionTimestamp" not in named[0]["metadata"]:
                log = pods.log(self.node, name)
                return Ending(step, end["reason"], end["exitCode"], status["imageID"], log)
        return None
