"""The pipeline's graph: claim budget, download, compute statistics, train, evaluate, consume, upload; then settle.

allocate -> download -> dp_preprocess -> dp_train -> dp_evaluate -> consume -> upload
                                                         (exit task: release)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from privatekube.kubeflow import loading

STEPS = ("allocate", "download", "dp_preprocess", "dp_train", "dp_evaluate", "consume", "upload", "release")
"""The steps in the order in which they run; the last one is the exit task, which runs however the others end."""

PUBLISHED = {"statistics": "statistics.json", "checkpoint": "model.pt", "metrics": "metrics.json"}
"""The file that each release is published as."""

REPEATED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "consume": {"spend": ("statistics", "training", "evaluation")},
    "upload": {"released": tuple(PUBLISHED)},
}
"""What tells the files apart of which a step takes several."""

CONTROL = ("500m", "1Gi")
DATA = ("1", "4Gi")
TRAINING = ("2", "8Gi")
WORKSPACE = "10Gi"
"""Of the volume that has the private data of a run until it ends."""
GPU_TYPE = "nvidia.com/gpu"


def build(
    folders: Mapping[str, Path],
    *,
    gpu: bool = False,
    retries: int = 3,
    in_images: bool = True,
    training_memory: str = TRAINING[1],
) -> BaseComponent:
    """Build the pipeline; its parameters are the fields of `runs.run_arguments.RunArguments`.

    Args:
        folders: folder of the component of each of `STEPS`.
        gpu: whether the steps that run the model request a GPU of the cluster.
        retries: how often a step that only moves data is retried, with pauses of 10 s and more.
        in_images: whether the steps run in their images, which the privacy card then states.
        training_memory: what the steps that run the model have, such as 8Gi; the check before the claim is told.
    """
    steps = {name: loading.load(folders[name], REPEATED.get(name)) for name in STEPS}
    images = {name: step.component_spec.implementation.container.image for name, step in steps.items() if in_images}

    @dsl.pipeline(  # type: ignore[untyped-decorator]  # kfp has no types
        name="dp-lstm",
        description="Train and publish a model of private reviews under a privacy budget",
        pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(WORKSPACE)),
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
        purpose: str,
        hyperparameters_chosen: str,
        prefix: str,
    ) -> None:
        release = steps["release"](
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, namespace=namespace, workspace=dsl.WORKSPACE_PATH_PLACEHOLDER
        )
        _limit(release, CONTROL)
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
                purpose=purpose,
                hyperparameters_chosen=hyperparameters_chosen,
                prefix=prefix,
                step_memory=training_memory,
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
            for step, limits in (
                (allocate, CONTROL),
                (download, DATA),
                (preprocess, DATA),
                (train, (TRAINING[0], training_memory)),
                (evaluate, (TRAINING[0], training_memory)),
                (consume, CONTROL),
                (upload, CONTROL),
            ):
                _limit(step, limits)
            retried = (download, upload) if retries else ()  # never a step that draws noise or consumes budget
            for step in retried:
                step.set_retry(retries, backoff_duration="10s", backoff_factor=2, backoff_max_duration="300s")
            for step in (train, evaluate) if gpu else ():
                step.set_accelerator_type(GPU_TYPE).set_accelerator_limit(1)

    return dp_lstm


def _limit(task: Any, limits: tuple[str, str]) -> None:
    """Limit CPU and memory, and turn caching off: a cached consume would be a release without payment."""
    cpu, memory = limits
    task.set_cpu_limit(cpu).set_memory_limit(memory)
    task.set_caching_options(False)
