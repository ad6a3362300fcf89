"""Give the tasks of a graph what their pods get, in the words of Kubeflow Pipelines and of its Kubernetes extension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl, kubernetes

from privatekube.client import connect
from privatekube.kubeflow.pod_settings import PodSettings, StepPod


def pipeline_config(settings: PodSettings) -> dsl.PipelineConfig:
    """Return what a run gets: its workspace, how long it may take, and how long its pods are kept."""
    workspace = settings.workspace
    patch: dict[str, Any] = {"accessModes": [workspace.access_mode]}
    if workspace.storage_class is not None:
        patch["storageClassName"] = workspace.storage_class
    return dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(workspace.size, dsl.KubernetesWorkspaceConfig(patch)),
        ttl_seconds_after_finished=settings.keep_seconds,
        active_deadline_seconds=settings.run_timeout_seconds,
    )


def apply_to_all(
    tasks: Mapping[str, Any],
    needs: Mapping[str, StepPod],
    settings: PodSettings | None,
    *,
    gpus: Mapping[str, int],
) -> None:
    """Turn caching off for the tasks of a graph, and give each what its pod gets.

    A cached consume would be a release without payment.

    Args:
        tasks: of kfp's graph, by the name of the step.
        needs: what the pod of each requests and may use.
        settings: of the cluster; None for a run on this machine.
        gpus: how many GPUs a step requests; none if it is left out.
    """
    for name, task in tasks.items():
        task.set_caching_options(False)
        if settings is not None:
            apply(task, needs[name], settings, gpus=gpus.get(name, 0))


def apply(task: Any, pod: StepPod, settings: PodSettings, *, gpus: int = 0) -> None:
    """Give a task its requests and limits, its deadline, its way to the control plane and, if it uses one, the bucket.

    Args:
        task: of kfp's graph.
        pod: what it requests and may use.
        settings: of the cluster.
        gpus: how many GPUs it requests.
    """
    (cpu_request, cpu_limit), (memory_request, memory_limit) = pod.cpu, pod.memory
    task.set_cpu_request(cpu_request).set_cpu_limit(cpu_limit)
    task.set_memory_request(memory_request).set_memory_limit(memory_limit)
    task.set_env_variable(connect.STORE, settings.store)
    if gpus:
        task.set_accelerator_type(settings.gpu_type).set_accelerator_limit(gpus)
    kubernetes.set_timeout(task, pod.timeout_seconds)
    _place(task, settings)
    if pod.uses_bucket:
        _open_bucket(task, settings)


def _place(task: Any, settings: PodSettings) -> None:
    if settings.pull_secrets:
        kubernetes.set_image_pull_secrets(task, settings.pull_secrets)
    for key, value in settings.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in settings.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))


def _open_bucket(task: Any, settings: PodSettings) -> None:
    for name, value in settings.environment.items():
        task.set_env_variable(name, value)
    for secret, variables in settings.secret_environment.items():
        kubernetes.use_secret_as_env(task, secret, variables)
    for secret, folder in settings.secret_files.items():
        kubernetes.use_secret_as_volume(task, secret, folder)
