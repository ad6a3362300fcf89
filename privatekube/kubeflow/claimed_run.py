"""The frame of a pipeline: its parameters are those of a run, it begins with allocate, and it ends with release.

```python
def graph(run: ClaimedRun) -> Mapping[str, dsl.PipelineTask]:
    download = steps["download"](grant=run.grant, workspace=run.workspace)
    ...
    return {"download": download, ...}

pipeline = claimed_run.pipeline(graph, steps, name="dp-lstm", ...)
```
"""

# No `from __future__ import annotations`: kfp reads the annotations of a pipeline's parameters.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from privatekube.kubeflow import pod_spec
from privatekube.kubeflow.pod_settings import PodSettings, StepPod


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """What the steps of a graph get of a run whose budget was granted.

    Args:
        grant: output of allocate.
        workspace: where the run has its private data.
        device: argument of the run.
        prefix: likewise.
    """

    grant: Any
    workspace: str
    device: Any
    prefix: Any


def pipeline(
    graph: Callable[[ClaimedRun], Mapping[str, dsl.PipelineTask]],
    steps: Mapping[str, BaseComponent],
    *,
    name: str,
    description: str | None,
    step_memory: str,
    needs: Mapping[str, StepPod],
    pods: PodSettings | None,
    gpus: Mapping[str, int],
) -> BaseComponent:
    """Build a pipeline whose parameters are the fields of `runs.run_arguments.RunArguments`.

    Args:
        graph: makes the tasks between allocate and release, by the name of the step.
        steps: components by name, `allocate` and `release` among them.
        name: of the pipeline.
        description: of the pipeline.
        step_memory: memory of the step that needs most, such as 8Gi.
        needs: what the pod of each step requests and may use.
        pods: what the pods of a cluster get; None for a run on this machine.
        gpus: how many GPUs a step requests; none if it is left out.
    """
    config = pod_spec.pipeline_config(pods or PodSettings())

    @dsl.pipeline(name=name, description=description, pipeline_config=config)  # type: ignore[untyped-decorator]
    def claimed(  # noqa: PLR0917 - a pipeline's parameters are its interface
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
        deadline: str,
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
                deadline=deadline,
                hyperparameters_chosen=hyperparameters_chosen,
                prefix=prefix,
                step_memory=step_memory,
            )
            run = ClaimedRun(allocate.outputs["grant"], dsl.WORKSPACE_PATH_PLACEHOLDER, device, prefix)
            tasks = graph(run)
        pod_spec.apply_to_all({"allocate": allocate, **tasks, "release": release}, needs, pods, gpus=gpus)

    return claimed
