"""Why a pod does not start, from what Kubernetes says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from privatekube.kubeflow.run_tasks import task_name

MAIN = "main"
"""The container of a step in its pod."""
_NODE_NAME = "workflows.argoproj.io/node-name"
_REMEDIES = {
    "ImagePullBackOff": "check that the image is in the registry and that the pod has a pull secret",
    "ErrImagePull": "check that the image is in the registry and that the pod has a pull secret",
    "InvalidImageName": "build the images again",
    "CreateContainerConfigError": "create the secret or config map that it names",
    "Unschedulable": "lower what the step requests in the section cluster of arguments.yaml, or add a node",
    "FailedMount": "create the secret or volume that it names",
    "FailedAttachVolume": "see kubectl describe pod",
}
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_WARNING = "Warning"
_REPETITION = re.compile(r"\(\d+\)$")
"""What Argo appends to the name of a node that may be repeated."""
_LONGEST = 300


def step_of(pod: Mapping[str, Any], steps: Iterable[str]) -> str | None:
    """Return the step that a pod of a run belongs to; None for KFP's own pods."""
    name = (pod["metadata"].get("annotations") or {}).get(_NODE_NAME, "")
    parts = [_REPETITION.sub("", part) for part in name.split(".")]
    return next((step for step in steps if task_name(step) in parts), None)


def is_pending(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has not started its containers."""
    return bool((pod.get("status") or {}).get("phase") == "Pending")


def reason(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> str | None:
    """Return why a pending pod does not start and what to do; None if Kubernetes does not say.

    Args:
        pod: the pod.
        events: about it, oldest first.
    """
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _line(str(condition.get("reason")), condition.get("message"))
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _STARTING:
            return _line(str(waiting["reason"]), waiting.get("message"))
    warnings = [event for event in events if event.get("type") == _WARNING]
    return _line(str(warnings[-1].get("reason")), warnings[-1].get("message")) if warnings else None


def last_words(pod: Mapping[str, Any]) -> str:
    """Return what the step's container left as its termination message; empty if it left none."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if container.get("name") == MAIN and ended.get("message"):
            return str(ended["message"])
    return ""


def _line(reason_name: str, message: object) -> str:
    text = " ".join(str(message or "").split())[:_LONGEST]
    remedy = _REMEDIES.get(reason_name, "see kubectl describe pod")
    return f"{reason_name}: {text}; {remedy}" if text else f"{reason_name}; {remedy}"
