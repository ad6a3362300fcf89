"""What the run's pods need of the cluster: images, room on a node, a GPU, and a volume for the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from privatekube import errors
from privatekube.images import registry
from privatekube.kubeflow.checks.check import Subject, Unknown

_QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(m|[kMGTPE]i?|)")
_UNITS = {"m": Decimal("0.001"), "": Decimal(1)} | {
    f"{prefix}{suffix}": Decimal(base) ** power
    for suffix, base in (("", 1000), ("i", 1024))
    for power, prefix in enumerate("kMGTPE", 1)
}
_UNITS |= {"Ki": Decimal(1024)}
_GPUS_REMEDY = "run with gpus: 0, or add such a node; if nodes are added on demand, submit with --no-check"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def amount(quantity: object) -> Decimal:
    """Return a quantity of Kubernetes as a number.

    >>> [int(amount(text)) for text in ("2", "1Gi", "1500m", "2k")]
    [2, 1073741824, 1, 2000]
    """
    match = _QUANTITY.fullmatch(str(quantity))
    return Decimal(match.group(1)) * _UNITS[match.group(2)] if match and match.group(2) in _UNITS else Decimal(0)


@dataclass(frozen=True, slots=True)
class Need:
    """What a step's pod requests.

    Args:
        step: name of the step.
        amounts: by resource, such as cpu.
    """

    step: str
    amounts: dict[str, Decimal]


def images(subject: Subject) -> str:
    """Check that each image is in its registry under its digest."""
    references = sorted(set(subject.components.require_images(pushed=True)))
    for reference in references:
        repository, _, digest = reference.partition("@")
        name = repository.rpartition(":")[0] if ":" in repository.rpartition("/")[2] else repository
        try:
            found = registry.digest(name, digest, registry.credentials(name))
        except errors.PrivateKubeError as error:
            raise Unknown(f"not from this machine: {error}") from error
        if found != digest:
            raise errors.NotFound(
                f"image {reference}: is not in its registry; build and push again: python build_components.py"
            )
    return f"{len(references)} images are in their registry"


def room(subject: Subject) -> str:
    """Check that each step's CPU and memory fit a node."""
    nodes = subject.kubernetes.nodes()
    for need in needs(subject.package.spec):
        plain = {name: value for name, value in need.amounts.items() if name in {"cpu", "memory"}}
        if nodes and not any(_fits(node, plain) for node in nodes):
            listed = ", ".join(f"{name} {_text(value)}" for name, value in plain.items())
            raise errors.InvalidInput(
                f"nodes: no node has {listed} for {need.step}; request less in the section cluster of arguments.yaml, "
                "or submit with --no-check if nodes are added on demand"
            )
    if not nodes:
        raise Unknown("there is no node; if nodes are added on demand, that is as it should be")
    return f"each step fits one of {len(nodes)} nodes"


def gpu(subject: Subject) -> str:
    """Check that a node has the GPUs that a step requests."""
    wanted = [
        (need.step, name, value)
        for need in needs(subject.package.spec)
        for name, value in need.amounts.items()
        if name not in {"cpu", "memory"}
    ]
    if not wanted:
        return "none is requested"
    nodes = subject.kubernetes.nodes()
    for step, name, value in wanted:
        if not any(_fits(node, {name: value}) for node in nodes):
            raise errors.InvalidInput(f"GPU: no node has {value} {name} for {step}; {_GPUS_REMEDY}")
    return ", ".join(sorted({f"{value} {name} for {step}" for step, name, value in wanted}))


def workspace(subject: Subject) -> str:
    """Check that the storage class of the run's workspace exists."""
    platform = subject.package.platform.get("platforms", {}).get("kubernetes", {})
    stated = platform.get("pipelineConfig", {}).get("workspace")
    if not stated:
        return "none is requested"
    patch = stated.get("kubernetes", {}).get("pvcSpecPatch", {})
    name = patch.get("storageClassName")
    classes = subject.kubernetes.storage_classes()
    names = [item["metadata"]["name"] for item in classes]
    if name and name not in names:
        raise errors.InvalidInput(
            f"storage class {name}: does not exist; name one of {', '.join(names) or 'none'} in the section cluster of "
            "arguments.yaml"
        )
    defaults = [
        item["metadata"]["name"]
        for item in classes
        if (item["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
    ]
    if not name and not defaults:
        raise Unknown(
            "the cluster has no default storage class; unless Kubeflow's own configuration names one, name one in the "
            "section cluster of arguments.yaml"
        )
    return f"{stated.get('size', '')} of storage class {name or defaults[0]}".strip()


def needs(spec: Any) -> Iterator[Need]:
    """Yield what each container of a compiled pipeline requests; a limit without a request is one."""
    for label, executor in spec.deployment_spec["executors"].items():
        resources = dict(executor["container"]).get("resources") if "container" in executor else None
        if resources is None:
            continue
        stated = {key: str(value) for key, value in dict(resources).items() if isinstance(value, str)}
        amounts = {
            name: amount(text)
            for name, title in (("cpu", "Cpu"), ("memory", "Memory"))
            if (text := stated.get(f"resource{title}Request") or stated.get(f"resource{title}Limit"))
        }
        accelerator = dict(resources["accelerator"]) if "accelerator" in resources else {}
        kind = accelerator.get("resourceType") or accelerator.get("type")
        count = amount(accelerator.get("resourceCount") or accelerator.get("count") or 0)
        if kind and count:
            amounts[str(kind)] = count
        yield Need(label.removeprefix("exec-"), amounts)


def _fits(node: Any, amounts: dict[str, Decimal]) -> bool:
    allocatable = node.get("status", {}).get("allocatable", {})
    return all(amount(allocatable.get(name, 0)) >= value for name, value in amounts.items())


def _text(value: Decimal) -> str:
    return f"{value / 1024**3:g}Gi" if value >= 1024**3 else f"{value:g}"
