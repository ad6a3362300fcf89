"""Run the compiled pipeline's steps as pods, one after another, and then the exit task, however they ended."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import waiting
from tests.node import accounts, launcher, pods, volume
from tests.node.compiled import MOUNT, Compiled, Scope, Step
from tests.node.node import Json, Node
from tests.node.object_store import ARTIFACTS, ObjectStore

DELETED, DEADLINE = "Deleted", "DeadlineExceeded"
_END_SECONDS = 900  # the first pod of the training image waits until 3 GB are unpacked, on a busy machine
_LOST_PODS = 2
"""How often KFP's configuration has Argo run a pod again that was lost (retryStrategy: limit 2, policy OnError)."""
_RETRIED = 10
"""What the pods of a run that is retried are numbered from."""
_LAUNCHER = inspect.getsource(launcher)


class Terminated(Exception):  # noqa: N818 - not an error
    """The run was terminated: no pod of it is left, and its exit task does not run."""


@dataclass(frozen=True)
class Ending:
    """How a pod of a step ended.

    Args:
        step: name of the step.
        reason: Kubernetes' reason: Completed, Error, OOMKilled, DeadlineExceeded; or Deleted if the pod is gone.
        exit_code: exit code of the container; None if it did not start, or the pod is gone.
        image: the image that ran, as the node reports it.
        log: log of the pod.
    """

    step: str
    reason: str
    exit_code: int | None = None
    image: str = ""
    log: str = ""


@dataclass
class Run:
    """One run of the pipeline on a node.

    Args:
        node: the node.
        compiled: the pipeline.
        run_id: id of the run, part of the names of its pods and of its claim.
        store: has the pipeline root, in its bucket of artifacts.
        workspace: folder of this machine that is the run's workspace; it is made, and gone when the run has ended.
        parameters: parameters of the pipeline.
        memory: memory limits by step, in place of the compiled ones.
        faults: functions by step, called with the pod's name once the pod is created.
    """

    node: Node
    compiled: Compiled
    run_id: str
    store: ObjectStore
    workspace: Path
    parameters: Mapping[str, Any]
    memory: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Callable[[str], None]] = field(default_factory=dict)
    _ends_at: float = field(default=0.0, init=False)

    def run(self) -> list[Ending]:
        """Run the guarded steps until one fails finally, then the exit task; return the pods' endings in order.

        A run whose deadline passes, or that a fault terminates, ends at once, as where Kubeflow cuts its exit task off.
        """
        return self._run_from(0, range(1 + _LOST_PODS))

    def retry(self, failed: str) -> list[Ending]:
        """Run a step that failed and those after it again, in a new workspace, as a retry in Kubeflow's page does."""
        names = [step.name for step in self.compiled.guarded]
        return self._run_from(names.index(failed), range(_RETRIED, _RETRIED + 1 + _LOST_PODS))

    def _run_from(self, first: int, attempts: Iterable[int]) -> list[Ending]:
        """Run the steps from a number on; the workspace is a claim of the run's own, which Argo deletes with it."""
        self._ends_at = time.monotonic() + int(self.compiled.config["activeDeadlineSeconds"])
        self.node.apply(*volume.workspace(self.run_id, self.workspace, self.compiled.config["workspace"]))
        endings: list[Ending] = []
        try:
            self._run_steps(first, list(attempts), endings)
        except Terminated:
            pass
        else:
            assert list(self.workspace.iterdir()) == [], "the exit task erases the workspace"
        finally:
            volume.delete(self.node, self.run_id)
        return endings

    @property
    def prefix(self) -> str:
        """Where the run's artifacts are in their bucket."""
        return f"dp-lstm/{self.run_id}"

    @property
    def _scratch(self) -> Path:
        """Where KFP's launcher has artifacts in a pod: /gcs/BUCKET/... and /s3/BUCKET/..."""
        return Path("/gcs" if self.store.scheme == "gs" else "/s3")

    def _run_steps(self, first: int, attempts: list[int], endings: list[Ending]) -> None:
        folder = self._scratch / ARTIFACTS / self.prefix
        inner, outer = self.compiled.scopes(self.run_id, folder, self.parameters)
        for step in self.compiled.guarded[first:]:
            self._run_step(step, inner, attempts, endings)
            if endings[-1].exit_code != 0:
                break
        state = "SUCCEEDED" if endings[-1].exit_code == 0 else "FAILED"
        self._run_step(self.compiled.exit_step, outer, attempts, endings, {"state": state})

    def _run_step(
        self, step: Step, scope: Scope, attempts: list[int], endings: list[Ending], status: Json | None = None
    ) -> None:
        """Run a step, again if its pod is lost, and append how its pods ended."""
        for attempt in attempts:
            name = f"{self.run_id}-{step.name}-{attempt}"
            self.node.apply(self._pod(name, step, self._command(step, scope, status)))
            if step.name in self.faults:
                self.faults[step.name](name)
            endings.append(self._wait_for_end(name, step.name))
            if endings[-1].reason != DELETED:
                return

    def _command(self, step: Step, scope: Scope, status: Json | None) -> list[str]:
        """Return the command of the step behind the launcher, which reaches the artifacts."""
        inputs, outputs = (step.paths(side, "artifacts", scope) for side in ("inputs", "outputs"))
        plan = {
            "inputs": {str(path): self._url(path, writes=False) for path in inputs},
            "outputs": {str(path): self._url(path, writes=True) for path in outputs},
            "parameters": [str(path) for path in step.paths("outputs", "parameters", scope)],
        }
        return ["python3", "-c", _LAUNCHER, json.dumps(plan), *step.command(scope, status)]

    def _url(self, path: Path, *, writes: bool) -> str:
        return self.store.url(ARTIFACTS, str(path.relative_to(self._scratch / ARTIFACTS)), writes=writes)

    def _pod(self, name: str, step: Step, command: list[str]) -> Json:
        mounts = {"temporary": "/tmp", "artifacts": str(self._scratch)}  # noqa: S108 - the pod's own, see docs/images.md
        volumes: list[Json] = [{"name": volume_name, "emptyDir": {}} for volume_name in mounts]
        for secret, folder in step.secrets.items():
            mounts[secret] = folder
            volumes.append({"name": secret, "secret": {"secretName": secret}})
        if step.uses_workspace:
            mounts["kfp-workspace"] = MOUNT
            claim = {"claimName": volume.claim_name(self.run_id)}
            volumes.append({"name": "kfp-workspace", "persistentVolumeClaim": claim})
        document = pods.pod(
            name,
            step.container["image"],
            "",
            automountServiceAccountToken=True,
            serviceAccountName=accounts.CLAIMANT,
            enableServiceLinks=False,
            volumes=volumes,
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
            "volumeMounts": [{"name": mount, "mountPath": path} for mount, path in mounts.items()],
        }
        return document

    def _wait_for_end(self, name: str, step: str) -> Ending:
        waiting.until(
            lambda: self._ending(name, step) is not None or time.monotonic() > self._ends_at,
            lambda: self.node.kubectl("describe", "pod", name, "-n", pods.NAMESPACE),
            seconds=_END_SECONDS,
        )
        ending = self._ending(name, step)
        if ending is None:
            self.node.kubectl("delete", "pod", name, "-n", pods.NAMESPACE)
            raise Terminated
        return ending

    def _ending(self, name: str, step: str) -> Ending | None:
        pod = self.node.find_pod(name, pods.NAMESPACE)
        if pod is None:
            return Ending(step, DELETED)
        status = pod["status"]
        if "deletionTimestamp" in pod["metadata"]:
            return None
        for container in status.get("containerStatuses", []):
            end = container["state"].get("terminated")
            if end:
                log = pods.log(self.node, name) if end.get("containerID") else ""  # it may not have started
                return Ending(step, status.get("reason", end["reason"]), end["exitCode"], container["imageID"], log)
        return Ending(step, status["reason"]) if status.get("phase") == "Failed" else None
