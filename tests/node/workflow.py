"""Run the compiled pipeline's steps as pods, one after another, and then the exit task, however they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import waiting
from tests.node import accounts, pods, volume
from tests.node.compiled import Compiled, Scope, Step
from tests.node.node import Json, Node

DELETED = "Deleted"
_END_SECONDS = 300  # the first pod of the training image waits until 3 GB are unpacked
_REQUESTS = {"cpu": "50m", "memory": "16Mi"}
"""Requests are low, so that pods with the compiled limits fit on a small node."""


@dataclass(frozen=True)
class Ending:
    """How a pod of a step ended.

    Args:
        step: name of the step.
        reason: Kubernetes' reason: Completed, Error, OOMKilled; or Deleted if the pod is gone.
        exit_code: exit code of the container; None for a deleted pod.
        image: the image that ran, as the node reports it.
        log: log of the pod.
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
        node: the node.
        compiled: the pipeline.
        run_id: id of the run, part of the names of its pods and of its claim.
        shared: folder of the volume, which pods see under the same path; artifacts are below it.
        parameters: parameters of the pipeline.
        memory: memory limits by step, in place of the compiled ones.
        faults: functions by step, called with the pod's name once the pod is created.
    """

    node: Node
    compiled: Compiled
    run_id: str
    shared: Path
    parameters: Mapping[str, Any]
    memory: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Callable[[str], None]] = field(default_factory=dict)

    def run(self) -> list[Ending]:
        """Run the guarded steps until one fails finally, then the exit task; return the pods' endings in order."""
        inner, outer = self.compiled.scopes(
            self.run_id, volume.create_folder(self.shared / self.run_id), self.parameters
        )
        endings: list[Ending] = []
        for step in self.compiled.guarded:
            endings += self._run_step(step, inner)
            if endings[-1].exit_code != 0:
                break
        state = "SUCCEEDED" if endings[-1].exit_code == 0 else "FAILED"
        return endings + self._run_step(self.compiled.exit_step, outer, {"state": state})

    def _run_step(self, step: Step, scope: Scope, status: Json | None = None) -> list[Ending]:
        """Run a step, and retry it as often as the compiled spec says, without its pauses."""
        endings: list[Ending] = []
        for attempt in range(1 + step.retries):
            name = f"{self.run_id}-{step.name}-{attempt}"
            self.node.apply(self._pod(name, step, step.command(scope, status)))
            if step.name in self.faults:
                self.faults[step.name](name)
            endings.append(self._wait_for_end(name, step.name))
            if endings[-1].exit_code == 0:
                break
        return endings

    def _pod(self, name: str, step: Step, command: list[str]) -> Json:
        document = pods.pod(
            name,
            step.container["image"],
            "",
            automountServiceAccountToken=True,
            serviceAccountName=accounts.CLAIMANT,
            enableServiceLinks=False,
            volumes=[
                {"name": "temporary", "emptyDir": {}},
                {"name": volume.NAME, "persistentVolumeClaim": {"claimName": volume.NAME}},
            ],
        )
        limits = step.limits | ({"memory": self.memory[step.name]} if step.name in self.memory else {})
        document["spec"]["containers"][0] |= {
            "command": command,
            "env": [{"name": "PRIVATEKUBE_STORE", "value": "kubernetes"}],
            "resources": {"limits": limits, "requests": _REQUESTS},
            "volumeMounts": [
                {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - the pod's own, see docs/images.md
                {"name": volume.NAME, "mountPath": str(self.shared)},
            ],
        }
        return document

    def _wait_for_end(self, name: str, step: str) -> Ending:
        waiting.until(
            lambda: self._ending(name, step) is not None,
            _END_SECONDS,
            lambda: self.node.kubectl("describe", "pod", name, "-n", pods.NAMESPACE),
        )
        ending = self._ending(name, step)
        assert ending is not None
        return ending

    def _ending(self, name: str, step: str) -> Ending | None:
        matches = [pod for pod in self.node.list_objects("pods", pods.NAMESPACE) if pod["metadata"]["name"] == name]
        if not matches:
            return Ending(step, DELETED)
        for status in matches[0]["status"].get("containerStatuses", []):
            end = status["state"].get("terminated")
            if end and "deletionTimestamp" not in matches[0]["metadata"]:
                log = pods.log(self.node, name)
                return Ending(step, end["reason"], end["exitCode"], status["imageID"], log)
        return None
