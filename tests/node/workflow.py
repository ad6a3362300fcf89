"""Run the compiled pipeline's steps as pods, one after another, and then the exit task, however they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import waiting
from tests.node import accounts, pods, volume
from tests.node.compiled import MOUNT, Compiled, Scope, Step
from tests.node.node import Json, Node

DELETED = "Deleted"
_END_SECONDS = 900  # the first pod of the training image waits until 3 GB are unpacked, on a busy machine
_LOST_PODS = 2
"""How often KFP's configuration has Argo run a pod again that was lost (retryStrategy: limit 2, policy OnError)."""


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
        """Run the guarded steps until one fails finally, then the exit task; return the pods' endings in order.

        The workspace is a claim of the run's own, which Argo deletes with the run.
        """
        self.node.apply(*volume.workspace(self.run_id, self.workspace, self.compiled.config["workspace"]))
        try:
            return self._run_all()
        finally:
            claim = volume.workspace_name(self.run_id)
            self.node.kubectl("delete", "pvc", claim, "-n", pods.NAMESPACE, "--wait=false")

    @property
    def workspace(self) -> Path:
        """The folder of this machine that is the run's workspace."""
        return self.shared.parent / f"{self.shared.name}-workspaces" / self.run_id

    def _run_all(self) -> list[Ending]:
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
        for attempt in range(1 + max(_LOST_PODS, step.retries)):
            name = f"{self.run_id}-{step.name}-{attempt}"
            self.node.apply(self._pod(name, step, step.command(scope, status)))
            if step.name in self.faults:
                self.faults[step.name](name)
            endings.append(self._wait_for_end(name, step.name))
            if endings[-1].reason != DELETED:
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
                *self._workspace_volumes(step),
            ],
        )
        resources = step.resources
        if step.name in self.memory:
            resources = {kind: given | {"memory": self.memory[step.name]} for kind, given in resources.items()}
        if "activeDeadlineSeconds" in step.platform:
            document["spec"]["activeDeadlineSeconds"] = int(step.platform["activeDeadlineSeconds"])
        document["spec"]["containers"][0] |= {
            "command": command,
            "env": step.environment,
            "resources": resources,
            "volumeMounts": [
                {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - the pod's own, see docs/images.md
                {"name": volume.NAME, "mountPath": str(self.shared)},
                *({"name": given["name"], "mountPath": MOUNT} for given in self._workspace_volumes(step)),
            ],
        }
        return document

    def _workspace_volumes(self, step: Step) -> list[Json]:
        claim = {"claimName": volume.workspace_name(self.run_id)}
        return [{"name": "kfp-workspace", "persistentVolumeClaim": claim}] if step.uses_workspace else []

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
