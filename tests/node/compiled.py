"""Read the compiled pipeline: its steps in order, and the command of each with its placeholders filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from tests.node.node import Json

RUN_ID, WORKSPACE = "{{$.pipeline_job_uuid}}", "{{$.workspace_path}}"
MOUNT = "/kfp-workspace"
"""Where KFP's driver mounts the workspace, and what it puts for its placeholder."""
PARAMETERS = Path("/tmp/kfp/outputs")  # noqa: S108 - in a pod
"""Where KFP has a step write its output parameters."""
_PLACEHOLDER = re.compile(
    r"\{\{\$\.(?P<side>inputs|outputs)\.(?P<kind>parameters|artifacts)\['(?P<key>\w+)'\](\.(path|output_file))?\}\}"
)


@dataclass(frozen=True)
class Scope:
    """The values that fill in the placeholders of a graph's steps.

    Args:
        run_id: id of the run.
        folder: folder of the artifacts in a pod: FOLDER/STEP/OUTPUT.
        inputs: parameters of the graph.
    """

    run_id: str
    folder: Path
    inputs: Mapping[str, Any]

    def value(self, source: Json, status: Json | None = None) -> Any:
        """Return the value of a task's parameter; `status` is how the tasks before ended, for an exit task."""
        if "componentInputParameter" in source:
            return self.inputs[source["componentInputParameter"]]
        if "taskFinalStatus" in source:
            assert status is not None, "only an exit task has a status"
            return status
        constant = source["runtimeValue"]["constant"]
        if isinstance(constant, str):
            return self.run_id if constant == RUN_ID else constant.replace(WORKSPACE, MOUNT)
        return constant


@dataclass(frozen=True)
class Step:
    """One task of a graph, and the container that executes it.

    Args:
        name: name of the task.
        task: the compiled task: inputs, retries, the tasks it depends on.
        container: image, command, args, env, resources.
        platform: what kfp-kubernetes says about its pod.
    """

    name: str
    task: Json
    container: Json
    platform: Json

    @property
    def retries(self) -> int:
        """How often it is retried."""
        return int(self.task.get("retryPolicy", {}).get("maxRetryCount", 0))

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """The requests and limits of its container, as KFP's driver makes them."""
        given = self.container["resources"]
        limits = {"cpu": given["resourceCpuLimit"], "memory": given["resourceMemoryLimit"]}
        requests = {"cpu": given["resourceCpuRequest"], "memory": given["resourceMemoryRequest"]}
        if "accelerator" in given:
            limits[given["accelerator"]["resourceType"]] = given["accelerator"]["resourceCount"]
        return {"requests": requests, "limits": limits}

    @property
    def environment(self) -> list[Json]:
        """The variables of its container: values, and keys of Secrets."""
        secrets = [
            {"name": key["envVar"], "valueFrom": {"secretKeyRef": {"name": name, "key": key["secretKey"]}}}
            for name, keys in (
                (given["secretName"], given["keyToEnv"]) for given in self.platform.get("secretAsEnv", [])
            )
            for key in keys
        ]
        return [*self.container.get("env", []), *secrets]

    @property
    def uses_workspace(self) -> bool:
        """Whether KFP's driver mounts the workspace: an input parameter has its path."""
        sources = self.task.get("inputs", {}).get("parameters", {}).values()
        return any(WORKSPACE in str(source.get("runtimeValue", {}).get("constant")) for source in sources)

    def command(self, scope: Scope, status: Json | None = None) -> list[str]:
        """Return the command of its container."""
        compiled = [*self.container["command"], *self.container["args"]]
        filled = [_PLACEHOLDER.sub(lambda match: self._filled(match, scope, status), word) for word in compiled]
        assert not any("{{$" in word for word in filled), filled
        return filled

    def paths(self, side: str, kind: str, scope: Scope) -> list[Path]:
        """Return the paths in its pod of its `inputs` or `outputs`, which are `artifacts` or `parameters`."""
        found = [match for word in self.container["args"] for match in _PLACEHOLDER.finditer(word)]
        return [self._path(match, scope) for match in found if (match["side"], match["kind"]) == (side, kind)]

    @property
    def secrets(self) -> dict[str, str]:
        """Where its pod has the keys of a Secret as files, by the name of the Secret."""
        return {given["secretName"]: given["mountPath"] for given in self.platform.get("secretAsVolume", [])}

    def _filled(self, match: re.Match[str], scope: Scope, status: Json | None) -> str:
        if (match["side"], match["kind"]) != ("inputs", "parameters"):
            return str(self._path(match, scope))
        value = scope.value(self.task["inputs"]["parameters"][match["key"]], status)
        return value if isinstance(value, str) else json.dumps(value)

    def _path(self, match: re.Match[str], scope: Scope) -> Path:
        key = match["key"]
        if match["side"] == "outputs":
            return PARAMETERS / key if match["kind"] == "parameters" else Path(scope.folder, self.name, key)
        output = self.task["inputs"]["artifacts"][key]["taskOutputArtifact"]
        return Path(scope.folder, output["producerTask"], output["outputArtifactKey"])


@dataclass(frozen=True)
class Compiled:
    """The compiled pipeline: one guarded graph, and the exit task that follows however it ends.

    Args:
        guarded: steps of the graph, each after those it depends on.
        sources: sources of the guarded graph's parameters.
        exit_step: the exit task.
        config: what the package says about the run: workspace, deadline, time to live.
    """

    guarded: tuple[Step, ...]
    sources: Json
    exit_step: Step
    config: Json

    def scopes(self, run_id: str, folder: Path, parameters: Mapping[str, Any]) -> tuple[Scope, Scope]:
        """Return the scope of the guarded steps and that of the exit task."""
        outer = Scope(run_id, folder, parameters)
        inputs = {name: outer.value(source) for name, source in self.sources.items()}
        return Scope(run_id, folder, inputs), outer


def load(path: Path) -> Compiled:
    """Read a compiled pipeline."""
    document, platform = yaml.safe_load_all(path.read_text())
    kubernetes = platform["platforms"]["kubernetes"]
    document["platform"] = kubernetes["deploymentSpec"]["executors"]
    tasks = document["root"]["dag"]["tasks"]
    (guard,) = [name for name, task in tasks.items() if "triggerPolicy" not in task]
    (last,) = [name for name in tasks if name != guard]
    assert tasks[last]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert tasks[last]["dependentTasks"] == [guard]
    inner = document["components"][tasks[guard]["componentRef"]["name"]]["dag"]["tasks"]
    order = TopologicalSorter({name: task.get("dependentTasks", []) for name, task in inner.items()}).static_order()
    return Compiled(
        guarded=tuple(_step(document, name, inner[name]) for name in order),
        sources=tasks[guard]["inputs"]["parameters"],
        exit_step=_step(document, last, tasks[last]),
        config=kubernetes["pipelineConfig"],
    )


def _step(document: Json, name: str, task: Json) -> Step:
    label = document["components"][task["componentRef"]["name"]]["executorLabel"]
    container = document["deploymentSpec"]["executors"][label]["container"]
    return Step(name, task, container, document["platform"].get(label, {}))
