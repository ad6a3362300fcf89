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
from privatekube.kubeflow import claimed_run, loading, pod_settings
from privatekube.kubeflow.claimed_run import ClaimedRun
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
    gpus = {name: settings.gpus_of(trains=name == "dp_train", device=device) for name in _MODEL if pods is not None}
    steps = {name: loading.load(folders[name], REPEATED.get(name)) for name in STEPS}
    images = {name: step.component_spec.implementation.container.image for name, step in steps.items() if in_images}

    def graph(run: ClaimedRun) -> dict[str, dsl.PipelineTask]:
        grant, workspace = run.grant, run.workspace
        download = steps["download"](grant=grant, workspace=workspace)
        preprocess = steps["dp_preprocess"](grant=grant, workspace=workspace, blocks=download.outputs["blocks"])
        train = steps["dp_train"](
            grant=grant,
            workspace=workspace,
            dataset=preprocess.outputs["dataset"],
            statistics=preprocess.outputs["statistics"],
            device=run.device,
        )
        evaluate = steps["dp_evaluate"](
            grant=grant,
            workspace=workspace,
            dataset=preprocess.outputs["dataset"],
            checkpoint=train.outputs["checkpoint"],
            device=run.device,
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
            prefix=run.prefix,
        )
        return dict(zip(STEPS[1:-1], (download, preprocess, train, evaluate, consume, upload), strict=True))

    return claimed_run.pipeline(
        graph,
        steps,
        name="dp-lstm",
        description="Train and publish a model of private reviews under a privacy budget",
        step_memory=training_memory or training_memory_of(settings),
        needs=settings.pods(PODS),
        pods=pods,
        gpus=gpus,
    )


def training_memory_of(pods: PodSettings) -> str:
    """Return the memory that each step that runs the model has in a cluster."""
    given = pods.pods(PODS)
    return min((given[name].memory[1] for name in _MODEL), key=validation.parse_bytes)
