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

RUN_ID = "{{$.pipeline_job_uuid}}"
_PLACEHOLDER = re.compile(
    r"\{\{\$\.(?P<side>inputs|outputs)\.(?P<kind>parameters|artifacts)\['(?P<key>\w+)'\](\.(path|output_file))?\}\}"
)


@dataclass(frozen=True)
class Scope:
    """The values that fill in the placeholders of a graph's steps.

    Args:
        run_id: id of the run.
        folder: folder of the artifacts: FOLDER/STEP/OUTPUT.
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
        return self.run_id if constant == RUN_ID else constant


@dataclass(frozen=True)
class Step:
    """One task of a graph, and the container that executes it.

    Args:
        name: name of the task.
        task: the compiled task: inputs, retries, the tasks it depends on.
        container: image, command, args, resources.
    """

    name: str
    task: Json
    container: Json

    @property
    def retries(self) -> int:
        """How often it is retried."""
        return int(self.task.get("retryPolicy", {}).get("maxRetryCount", 0))

    @property
    def limits(self) -> dict[str, str]:
        """The limits of its container."""
        resources = self.container["resources"]
        return {"cpu": resources["resourceCpuLimit"], "memory": resources["resourceMemoryLimit"]}

    def command(self, scope: Scope, status: Json | None = None) -> list[str]:
        """Return the command of its container."""
        compiled = [*self.container["command"], *self.container["args"]]
        filled = [_PLACEHOLDER.sub(lambda match: self._filled(match, scope, status), word) for word in compiled]
        assert not any("{{$" in word for word in filled), filled
        return filled

    def _filled(self, match: re.Match[str], scope: Scope, status: Json | None) -> str:
        key = match["key"]
        if match["side"] == "outputs":
            return str(scope.folder / self.name / key)
        source = self.task["inputs"][match["kind"]][key]
        if match["kind"] == "artifacts":
            output = source["taskOutputArtifact"]
            return str(scope.folder / output["producerTask"] / output["outputArtifactKey"])
        value = scope.value(source, status)
        return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Compiled:
    """The compiled pipeline: one guarded graph, and the exit task that follows however it ends.

    Args:
        guarded: steps of the graph, each after those it depends on.
        sources: sources of the guarded graph's parameters.
        exit_step: the exit task.
    """

    guarded: tuple[Step, ...]
    sources: Json
    exit_step: Step

    def scopes(self, run_id: str, folder: Path, parameters: Mapping[str, Any]) -> tuple[Scope, Scope]:
        """Return the scope of the guarded steps and that of the exit task."""
        outer = Scope(run_id, folder, parameters)
        inputs = {name: outer.value(source) for name, source in self.sources.items()}
        return Scope(run_id, folder, inputs), outer


def load(path: Path) -> Compiled:
    """Read a compiled pipeline."""
    document = next(yaml.safe_load_all(path.read_text()))
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
    )


def _step(document: Json, name: str, task: Json) -> Step:
    label = document["components"][task["componentRef"]["name"]]["executorLabel"]
    return Step(name, task, document["deploymentSpec"]["executors"][label]["container"])
