"""The graph: claim, fetch, count, train, evaluate, pay, publish; and settle, however it ends.

allocate -> download -> dp_preprocess -> dp_train -> dp_evaluate -> consume -> upload
                                                         (exit task: release)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp import components, dsl
from kfp.dsl.base_component import BaseComponent

from privatekube.images import component_yaml

STEPS = ("allocate", "download", "dp_preprocess", "dp_train", "dp_evaluate", "consume", "upload", "release")
"""The steps in the order in which they run, and the exit task."""

CONTROL = ("500m", "1Gi")
DATA = ("1", "4Gi")
TRAINING = ("2", "8Gi")
GPU_TYPE = "nvidia.com/gpu"


def load(folder: Path) -> BaseComponent:
    """The component in `folder`."""
    return components.load_component_from_file(str(folder / component_yaml.FILE))


def build(folders: Mapping[str, Path], *, gpu: bool = False, retries: int = 3) -> BaseComponent:
    """The pipeline; its parameters are the fields of `config.RunArguments`.

    Args:
        folders: folder of the component of each of `STEPS`.
        gpu: ask the cluster for a GPU where the model runs.
        retries: how often a step that only moves data is run again, with pauses of 10 s and more, as for a lost pod.
    """
    steps = {name: load(folders[name]) for name in STEPS}

    @dsl.pipeline(  # type: ignore[untyped-decorator]  # kfp has no types
        name="dp-lstm", description="Train and publish a model of private reviews, paid for in privacy budget"
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
        statistics_fraction: float,
        test_fraction: float,
        task: str,
        model: str,
        n_epochs: int,
        sampling_rate: float,
        max_grad_norm: float,
        learning_rate: float,
        vocab_size: int,
        max_text_len: int,
        embedding_dim: int,
        hidden_dim: int,
        device: str,
        seed: int,
        prefix: str,
    ) -> None:
        settled = steps["release"](run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, namespace=namespace)
        _limit(settled, CONTROL)
        with dsl.ExitHandler(settled, name="guarded"):
            allocated = steps["allocate"](
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                namespace=namespace,
                dataset=dataset,
                n_blocks=n_blocks,
                conditions=conditions,
                epsilon=epsilon,
                delta=delta,
                timeout_seconds=timeout_seconds,
                settle_after_seconds=settle_after_seconds,
                statistics_fraction=statistics_fraction,
                test_fraction=test_fraction,
                n_epochs=n_epochs,
                sampling_rate=sampling_rate,
                prefix=prefix,
            )
            grant = allocated.outputs["grant"]
            downloaded = steps["download"](grant=grant)
            prepared = steps["dp_preprocess"](grant=grant, blocks=downloaded.outputs["blocks"])
            trained = steps["dp_train"](
                grant=grant,
                dataset=prepared.outputs["dataset"],
                statistics=prepared.outputs["statistics"],
                task=task,
                model=model,
                max_grad_norm=max_grad_norm,
                learning_rate=learning_rate,
                vocab_size=vocab_size,
                max_text_len=max_text_len,
                embedding_dim=embedding_dim,
                hidden_dim=hidden_dim,
                device=device,
                seed=seed,
            )
            evaluated = steps["dp_evaluate"](
                grant=grant,
                dataset=prepared.outputs["dataset"],
                checkpoint=trained.outputs["checkpoint"],
                device=device,
            )
            paid = steps["consume"](
                grant=grant,
                spend_statistics=prepared.outputs["spend"],
                spend_training=trained.outputs["spend"],
                spend_evaluation=evaluated.outputs["spend"],
            )
            published = steps["upload"](
                grant=grant,
                receipt=paid.outputs["receipt"],
                statistics=prepared.outputs["statistics"],
                checkpoint=trained.outputs["checkpoint"],
                metrics=evaluated.outputs["metrics"],
                prefix=prefix,
            )
            for task_, limits in (
                (allocated, CONTROL),
                (downloaded, DATA),
                (prepared, DATA),
                (trained, TRAINING),
                (evaluated, TRAINING),
                (paid, CONTROL),
                (published, CONTROL),
            ):
                _limit(task_, limits)
            movers = (downloaded, published)  # never a step that draws noise or pays
            for mover in movers if retries else ():
                mover.set_retry(retries, backoff_duration="10s", backoff_factor=2, backoff_max_duration="300s")
            for modelled in (trained, evaluated) if gpu else ():
                modelled.set_accelerator_type(GPU_TYPE).set_accelerator_limit(1)

    return dp_lstm


def _limit(task: Any, limits: tuple[str, str]) -> None:
    """Bound CPU and memory, and never take a cached result: a cached consume would be an unpaid release."""
    cpu, memory = limits
    task.set_cpu_limit(cpu).set_memory_limit(memory)
    task.set_caching_options(False)
