"""The pipeline's graph: claim budget, download, compute statistics, train, evaluate, consume, upload; then settle.

allocate -> download -> dp_preprocess -> dp_train -> dp_evaluate -> consume -> upload
                                                         (exit task: release)
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from privatekube import validation
from privatekube.kubeflow import loading, pod_settings, pod_spec
from privatekube.kubeflow.pod_settings import PodSettings, StepPod

STEPS = ("allocate", "download", "dp_preprocess", "dp_train", "dp_evaluate", "consume", "upload", "release")
"""The steps in the order in which they run; the last one is the exit task, which runs however the others end."""

PUBLISHED = {"statistics": "statistics.json", "checkpoint": "model.pt", "metrics": "metrics.json"}
"""The file that each release is published as."""

REPEATED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "consume": {"spend": ("statistics", "training", "evaluation")},
    "upload": {"released": tuple(PUBLISHED)},
}
"""What tells the files apart of which a step takes several."""

PODS: Mapping[str, StepPod] = {
    **pod_settings.PROJECT_PODS,
    "dp_preprocess": StepPod(("250m", "1"), ("512Mi", "4Gi"), 6 * 3600),
    "dp_train": pod_settings.MODEL_POD,
    "dp_evaluate": replace(pod_settings.MODEL_POD, timeout_seconds=6 * 3600),
}
"""What the pod of each step requests and may use. One runs at a time, so a node of 2 CPUs and 8 GiB is enough."""
_MODEL = ("dp_train", "dp_evaluate")
"""The steps that run the model."""


def build(
    folders: Mapping[str, Path],
    *,
    pods: PodSettings | None = None,
    device: str = "auto",
    in_images: bool = True,
    training_memory: str | None = None,
) -> BaseComponent:
    """Build the pipeline; its parameters are the fields of `runs.run_arguments.RunArguments`.

    Args:
        folders: folder of the component of each of `STEPS`.
        pods: what the pods of a cluster get; None for a run on this machine.
        device: the argument of the run, which decides about GPUs.
        in_images: whether the steps run in their images, which the privacy card then states.
        training_memory: what a step that runs the model has on this machine, such as 8Gi; in a cluster, `pods` says it.

    Raises:
        InvalidInput: `pods` does not fit the steps or the device.
    """
    settings = pods or PodSettings()
    needs = settings.pods(PODS)
    memory = training_memory or training_memory_of(settings)
    gpus = {name: settings.gpus_of(trains=name == "dp_train", device=device) for name in _MODEL if pods is not None}
    steps = {name: loading.load(folders[name], REPEATED.get(name)) for name in STEPS}
    images = {name: step.component_spec.implementation.container.image for name, step in steps.items() if in_images}

    @dsl.pipeline(  # type: ignore[untyped-decorator]  # kfp has no types
        name="dp-lstm",
        description="Train and publish a model of private reviews under a privacy budget",
        pipeline_config=pod_spec.pipeline_config(settings),
    )
    def dp_lstm(  # noqa: PLR0917 - a pipeline's parameters are its interface
        dataset: str,
        namespace: str,
        n_blocks: str,
        conditions: list,  # type: ignore[type-arg]  # kfp reads the bare type
        epsilon: float,
        delta: float,
        timeout_seconds: int,
        settle_after_seconds: int,
        plan: str,
        check: str,
        settings: dict,  # type: ignore[type-arg]  # likewise
        device: str,
        organisation: str,
        team: str,
        purpose: str,
        hyperparameters_chosen: str,
        prefix: str,
    ) -> None:
        release = steps["release"](
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, namespace=namespace, workspace=dsl.WORKSPACE_PATH_PLACEHOLDER
        )
        with dsl.ExitHandler(release, name="guarded"):
            allocate = steps["allocate"](
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                namespace=namespace,
                dataset=dataset,
                n_blocks=n_blocks,
                conditions=conditions,
                epsilon=epsilon,
                delta=delta,
                timeout_seconds=timeout_seconds,
                settle_after_seconds=settle_after_seconds,
                plan=plan,
                check=check,
                settings=settings,
                organisation=organisation,
                team=team,
                purpose=purpose,
                hyperparameters_chosen=hyperparameters_chosen,
                prefix=prefix,
                step_memory=memory,
            )
            grant, workspace = allocate.outputs["grant"], dsl.WORKSPACE_PATH_PLACEHOLDER
            download = steps["download"](grant=grant, workspace=workspace)
            preprocess = steps["dp_preprocess"](grant=grant, workspace=workspace, blocks=download.outputs["blocks"])
            train = steps["dp_train"](
                grant=grant,
                workspace=workspace,
                dataset=preprocess.outputs["dataset"],
                statistics=preprocess.outputs["statistics"],
                device=device,
            )
            evaluate = steps["dp_evaluate"](
                grant=grant,
                workspace=workspace,
                dataset=preprocess.outputs["dataset"],
                checkpoint=train.outputs["checkpoint"],
                device=device,
            )
            consume = steps["consume"](
                grant=grant,
                spend_statistics=preprocess.outputs["spend"],
                spend_training=train.outputs["spend"],
                spend_evaluation=evaluate.outputs["spend"],
            )
            upload = steps["upload"](
                grant=grant,
                receipt=consume.outputs["receipt"],
                released_statistics=preprocess.outputs["statistics"],
                released_checkpoint=train.outputs["checkpoint"],
                released_metrics=evaluate.outputs["metrics"],
                names=list(PUBLISHED.values()),
                images=images,
                prefix=prefix,
            )
        tasks = (allocate, download, preprocess, train, evaluate, consume, upload, release)
        pod_spec.apply_to_all(dict(zip(STEPS, tasks, strict=True)), needs, pods, gpus=gpus)

    return dp_lstm


def training_memory_of(pods: PodSettings) -> str:
    """Return the memory that each step that runs the model has in a cluster."""
    given = pods.pods(PODS)
    return min((given[name].memory[1] for name in _MODEL), key=validation.parse_bytes)
