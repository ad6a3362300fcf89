"""Read what KFP's API says of a run: how each step stands, and which pod ran it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_EXECUTOR = "executor"
"""The name that KFP's compiler for Argo gives the pod below a step, with a number where it is repeated."""


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
        pods: the nodes of its pods, the latest last; KFP's log is asked by them.
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
    """Yield the nodes of the pods below a task: those named executor; the task itself if it has none."""
    children = {str(child.get("pod_name")) for child in task.get("child_tasks") or []}
    below = [item for item in details if _node(item) in children]
    executors = [item for item in below if str(item.get("display_name", "")).startswith(_EXECUTOR)]
    nested = [node for item in executors for node in _repeats(item, details)]
    yield from nested or ([_node(task)] if _node(task) else [])


def _repeats(task: Mapping[str, Any], details: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the nodes of a pod that was started several times, or its own."""
    children = [str(child.get("pod_name")) for child in task.get("child_tasks") or []]
    repeats = [node for node in children if any(_node(item) == node for item in details)]
    yield from repeats or [_node(task)]


def _node(task: Mapping[str, Any]) -> str:
    return str(task.get("pod_name") or "")
