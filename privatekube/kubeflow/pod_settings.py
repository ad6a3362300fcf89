"""What the pods of a run get in a cluster: the section `cluster` of arguments.yaml.

A pipeline says what its steps need (`StepPod`); the section says what this cluster has, and may override a step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

import pydantic

from privatekube import config, errors, validation
from privatekube.runs.run_arguments import CLUSTER


def _quantity(value: object) -> str:
    """Return an amount of memory or disk as the text that Kubernetes reads."""
    text = str(value)
    if not re.fullmatch(r"[1-9]\d{0,8}[MGT]i?", text):
        raise ValueError("must be an amount with a unit, such as 512Mi or 10Gi; correct it")
    return text


def _cpu(value: object) -> str:
    """Return a number of CPUs as the text that Kubernetes reads, such as 500m or 2."""
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d{0,5}m|0\.[1-9]\d?|[1-9]\d{0,3}(\.\d{1,2})?", text):
        raise ValueError("must be a number of CPUs above 0, such as 500m or 2; correct it")
    return text


def _cpus(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


Memory = Annotated[str, pydantic.BeforeValidator(_quantity)]
Cpu = Annotated[str, pydantic.BeforeValidator(_cpu)]
EnvironmentName = Annotated[str, validation.spelled(r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits, '_', first no digit")]
ObjectName = Annotated[str, validation.spelled(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", validation.LABEL)]
MountPath = Annotated[str, validation.spelled(r"/[A-Za-z0-9._/-]+", "a path that begins with /")]
RunSeconds = Annotated[int, pydantic.Field(ge=60, le=366 * 86_400)]


@dataclass(frozen=True, slots=True)
class StepPod:
    """What the pod of a step requests and may use.

    Args:
        cpu: request and limit.
        memory: request and limit.
        timeout_seconds: how long its pod may run once a node has it.
        uses_bucket: whether it gets the secrets and variables that reach the bucket.
    """

    cpu: tuple[str, str]
    memory: tuple[str, str]
    timeout_seconds: int
    uses_bucket: bool = False

    def __post_init__(self) -> None:
        """Check that no request is above its limit: Kubernetes refuses such a pod after the run has started."""
        for name, (request, limit), read in (
            ("cpu_request", self.cpu, _cpus),
            ("memory_request", self.memory, validation.parse_bytes),
        ):
            if read(request) > read(limit):
                raise errors.invalid(name, request, f"is above the limit, {limit}", "lower it, or raise the limit")


_HOUR = 3600
PROJECT_PODS: Mapping[str, StepPod] = MappingProxyType(
    {
        "allocate": StepPod(
            ("100m", "500m"), ("256Mi", "1Gi"), 25 * _HOUR, uses_bucket=True
        ),  # a claim waits up to a day
        "download": StepPod(("250m", "1"), ("512Mi", "4Gi"), 6 * _HOUR, uses_bucket=True),
        "consume": StepPod(("100m", "500m"), ("256Mi", "1Gi"), _HOUR),
        "upload": StepPod(("100m", "500m"), ("256Mi", "1Gi"), 6 * _HOUR, uses_bucket=True),
        "release": StepPod(("100m", "500m"), ("256Mi", "1Gi"), _HOUR),
    }
)
"""What the pod of each step requests and may use that every pipeline has."""
MODEL_POD = StepPod(("500m", "2"), ("1Gi", "8Gi"), 12 * _HOUR)
"""What the pod of a step that trains or runs a model requests and may use."""


class StepOverride(config.Checked):
    """What one step requests and may use in this cluster; what is left out is as the pipeline says."""

    cpu_request: Cpu | None = None
    cpu_limit: Cpu | None = None
    memory_request: Memory | None = None
    memory_limit: Memory | None = None
    timeout_seconds: RunSeconds | None = None

    def applied_to(self, pod: StepPod) -> StepPod:
        """Return what the pod of the step gets: a limit that is lowered lowers the request."""
        cpu_limit, memory_limit = self.cpu_limit or pod.cpu[1], self.memory_limit or pod.memory[1]
        return StepPod(
            cpu=(self.cpu_request or min(pod.cpu[0], cpu_limit, key=_cpus), cpu_limit),
            memory=(self.memory_request or min(pod.memory[0], memory_limit, key=validation.parse_bytes), memory_limit),
            timeout_seconds=self.timeout_seconds or pod.timeout_seconds,
            uses_bucket=pod.uses_bucket,
        )


class Toleration(config.Checked):
    """A taint of nodes that pods tolerate."""

    key: validation.Line | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: validation.Line | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @pydantic.model_validator(mode="after")
    def _require_consistent(self) -> Self:
        if self.operator == "Equal" and (self.key is None or self.value is None):
            raise errors.invalid("toleration", self.key, "needs a key and a value", "or write operator: Exists")
        if self.operator == "Exists" and self.value is not None:
            raise errors.invalid("toleration", self.value, "has a value, which Exists does not read", "remove it")
        return self


class Workspace(config.Checked):
    """The volume that has the private data of a run until it ends.

    Args:
        size: of the volume; the data of a run is there twice, as blocks and merged.
        storage_class: None for the one that Kubeflow's configuration or the cluster has by default.
        access_mode: ReadWriteMany if the steps of a run may be on several nodes at the same time.
    """

    size: Memory = "10Gi"
    storage_class: ObjectName | None = None
    access_mode: Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"] = "ReadWriteOnce"


class PodSettings(config.Checked):
    """The section `cluster` of a run's arguments.

    Args:
        store: the control plane, as the pods reach it.
        gpus: how many GPUs the step that trains requests; 0 for none.
        gpu_type: the resource that a GPU is.
        workspace: the volume of the run.
        steps: what a step requests and may use here, by the name of the step.
        run_timeout_seconds: how long a run may take, and wait for nodes.
        keep_seconds: how long the pods, their logs and the volume of a run are kept after it has ended.
        pull_secrets: Secrets with which the images are pulled.
        node_selector: labels of the nodes that pods run on.
        tolerations: taints that pods tolerate.
        environment: variables of the steps that reach a bucket, such as an endpoint; nothing secret.
        secret_environment: variables of these steps by the key of a Secret, by the name of the Secret.
        secret_files: where these steps have a Secret's keys as files, by its name.
    """

    store: validation.Line = "kubernetes"
    gpus: Annotated[int, pydantic.Field(ge=0, le=16)] = 1
    gpu_type: validation.Line = "nvidia.com/gpu"
    workspace: Workspace = Workspace()
    steps: dict[str, StepOverride] = pydantic.Field(default_factory=dict)
    run_timeout_seconds: RunSeconds = 86_400
    keep_seconds: RunSeconds = 86_400
    pull_secrets: list[validation.Name] = pydantic.Field(default_factory=list)
    node_selector: dict[validation.Line, str] = pydantic.Field(default_factory=dict)
    tolerations: list[Toleration] = pydantic.Field(default_factory=list)
    environment: dict[EnvironmentName, validation.Line] = pydantic.Field(default_factory=dict)
    secret_environment: dict[validation.Name, dict[validation.Line, EnvironmentName]] = pydantic.Field(
        default_factory=dict
    )
    secret_files: dict[ObjectName, MountPath] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _require_one_source(self) -> Self:
        names = [*self.environment, *(name for keys in self.secret_environment.values() for name in keys.values())]
        for name in names:
            if names.count(name) > 1:
                raise errors.invalid("environment", name, "is given twice", "give each variable one value")
        return self

    def pods(self, needs: Mapping[str, StepPod]) -> dict[str, StepPod]:
        """Return what the pod of each step gets.

        Args:
            needs: of the pipeline, by the name of the step.

        Raises:
            InvalidInput: the section names a step that the pipeline does not have, or a request above its limit.
        """
        for name in self.steps:
            if name not in needs:
                raise errors.invalid(f"{CLUSTER}: steps", name, "is not a step", f"write one of {', '.join(needs)}")
        return {name: self.steps.get(name, StepOverride()).applied_to(pod) for name, pod in needs.items()}

    def require_time_for(self, wait_seconds: int) -> None:
        """Check that a run may take longer than it may wait for its budget.

        Raises:
            InvalidInput: it may not.
        """
        if self.run_timeout_seconds <= wait_seconds:
            bound = f"must be above timeout_seconds, which is {wait_seconds}"
            raise errors.invalid(f"{CLUSTER}: run_timeout_seconds", self.run_timeout_seconds, bound, "raise it")

    def gpus_of(self, *, trains: bool, device: str) -> int:
        """Return how many GPUs a step requests that runs the model.

        Args:
            trains: whether it trains it; another step uses a GPU only if `device` demands one.
            device: the argument of the run: `auto`, `cpu` or `cuda`.

        Raises:
            InvalidInput: the run demands a GPU, and the section requests none.
        """
        if device == "cuda" and not self.gpus:
            raise errors.invalid(f"{CLUSTER}: gpus", 0, "is none, and device is cuda", "set gpus: 1 or device: auto")
        return self.gpus if device == "cuda" or (trains and device == "auto") else 0


def load(path: Path, overrides: Iterable[str] = ()) -> PodSettings:
    """Read the section of a file of arguments; a file without one has the defaults.

    Args:
        path: the YAML file.
        overrides: `key=value` each, as of `--set`; those of the section are `cluster.key=value`.

    Raises:
        InvalidInput: a key is unknown, or a value out of bounds.
    """
    stated = config.read_mapping(path).get(CLUSTER) or {}
    if not isinstance(stated, dict):
        raise errors.invalid(f"{path.name}: {CLUSTER}", stated, "is not a mapping", "write key: value below it")
    given = {
        key.strip().removeprefix(f"{CLUSTER}."): config.parse(text, f"--set {key}")
        for key, _, text in (override.partition("=") for override in overrides)
        if key.strip().startswith(f"{CLUSTER}.")
    }
    try:
        return PodSettings.model_validate(stated | given)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"{path.name}: {CLUSTER}: {validation.first_fault(error)}") from None
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{path.name}: {CLUSTER}: {error}") from None
