"""Read what KFP's API says of a run: how each step stands, and which pod ran it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_EXECUTOR = "executor"
"""The name that KFP's compiler for Argo gives the pod below a step, with a number where it is repeated."""
_TEMPLATES = ("system-container-impl", "retry-system-container-impl")
"""The templates of such pods."""


class StepState(enum.StrEnum):
    """How a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


_STATES = {
    "RUNNING": StepState.RUNNING,
    "SUCCEEDED": StepState.DONE,
    "FAILED": StepState.FAILED,
    "CANCELING": StepState.RUNNING,
    "CANCELED": StepState.FAILED,
    "SKIPPED": StepState.SKIPPED,
    "CACHED": StepState.DONE,
}
FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
"""States that a run does not leave by itself."""


@dataclass(frozen=True, slots=True)
class StepTask:
    """A step of a run.

    Args:
        state: how it stands.
        pods: names that its pod may have, the likeliest first: the API names the nodes below a task, and not which of
            them is its pod.
    """

    state: StepState
    pods: tuple[str, ...]


def task_name(step: str) -> str:
    """Return the name that kfp's compiler gives the task of a step.

    >>> task_name("dp_train")
    'dp-train'
    """
    return step.replace("_", "-")


def is_over(run: Mapping[str, Any]) -> bool:
    """Whether a run has ended."""
    return run.get("state") in FINAL


def steps(run: Mapping[str, Any], names: Iterable[str]) -> dict[str, StepTask]:
    """Return the tasks of the steps that have begun."""
    details = (run.get("run_details") or {}).get("task_details") or []
    found: dict[str, StepTask] = {}
    for name in names:
        matches = [task for task in details if task.get("display_name") == task_name(name)]
        if matches:
            state = _STATES.get(str(matches[-1].get("state")), StepState.WAITING)
            found[name] = StepTask(state, tuple(_pods(matches[-1], details)))
    return found


def _pods(task: Mapping[str, Any], details: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield names that the pod of a failed task may have.

    Argo calls a pod by its node's id, or puts the template's name before the number at its end (POD_NAMES of Argo). A
    task lists the nodes below it, which may be a pod, the group of its repetitions, or the task that comes next.
    """
    executors = [item for item in details if str(item.get("display_name", "")).startswith(_EXECUTOR)]
    failed = [item for item in executors if item.get("state") == task.get("state")]
    nodes = [node for item in (*reversed(failed), task) for node in (*_children(item), *_own(item))]
    for node in dict.fromkeys(nodes):
        workflow, _, number = node.rpartition("-")
        yield from (f"{workflow}-{template}-{number}" for template in _TEMPLATES)
        yield node


def _children(task: Mapping[str, Any]) -> Iterator[str]:
    return (str(child["pod_name"]) for child in reversed(task.get("child_tasks") or []) if child.get("pod_name"))


def _own(task: Mapping[str, Any]) -> Iterator[str]:
    return (str(name) for name in (task.get("pod_name"),) if name)
