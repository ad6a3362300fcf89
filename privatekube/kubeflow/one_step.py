"""The graph of a pipeline with one step of its own: allocate, download, that step, consume, upload; then release.

    step = OneStep(project=Path(), own=Path("count_visits"), published={"visits": "visits.json"})
    run_local.run(step.build(in_images=False), arguments, step.components, in_containers=False, console=console)

The other steps are those of the project's folder `components`, as they are.
"""

# No `from __future__ import annotations`: kfp reads the annotations of a pipeline's parameters.
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from privatekube import config, errors
from privatekube.images import component_yaml
from privatekube.kubeflow import loading
from privatekube.kubeflow.step_components import StepComponents

BEFORE, AFTER = ("allocate", "download"), ("consume", "upload", "release")
"""The project's steps around the own one; the last is the exit task, which runs however the others end."""
SPEND = "spend"
CONTROL, DATA = ("500m", "1Gi"), ("2", "8Gi")
WORKSPACE = "10Gi"
"""Of the volume that has the private data of a run until it ends."""


@dataclass(frozen=True, slots=True)
class OneStep:
    """A pipeline with one step of its own, which opens the data, draws noise, and writes what it releases.

    The component has the inputs `grant`, `workspace` and `blocks`. Each of its outputs `spend`, or `spend_...`, is what
    a step of the plan cost.

    Args:
        project: folder with the folder `components`.
        own: folder of the own component; its name is that of the step.
        published: for each output that is released, the name of the published file.

    Raises:
        InvalidInput: component.yaml cannot be read, has no spend, or has no output of a name in `published`.
    """

    project: Path
    own: Path
    published: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in self.published:
            if name not in self._outputs:
                bound = f"is not an output of {self.own.name}, which has {', '.join(self._outputs)}"
                raise errors.invalid("published", name, bound, "name its outputs")
        if not self._spends:
            raise errors.InvalidInput(f"{self.own.name}: has no output {SPEND}; write what each step of the plan cost")

    @property
    def components(self) -> StepComponents:
        """The steps in the order in which they run, and their folders."""
        folders = {name: self.project / "components" / name for name in (*BEFORE, *AFTER)}
        before = {name: folders[name] for name in BEFORE}
        return StepComponents(
            self.project, {**before, self.own.name: self.own, **{name: folders[name] for name in AFTER}}
        )

    @property
    def _outputs(self) -> tuple[str, ...]:
        outputs = config.read_mapping(self.own / component_yaml.FILE).get("outputs") or []
        return tuple(output["name"] for output in outputs)

    @property
    def _spends(self) -> tuple[str, ...]:
        return tuple(name for name in self._outputs if name == SPEND or name.startswith(f"{SPEND}_"))

    def build(self, *, in_images: bool, memory: str = DATA[1]) -> BaseComponent:
        """Build the pipeline; its parameters are the fields of `runs.run_arguments.RunArguments`.

        Args:
            in_images: whether the steps run in their images, which the privacy card then states.
            memory: what the own step has, such as 8Gi.
        """
        folders, name = self.components.folders, self.own.name
        spends = {output.removeprefix(f"{SPEND}_"): output for output in self._spends}
        repeated = {"consume": {"spend": tuple(spends)}, "upload": {"released": tuple(self.published)}}
        steps = {step: loading.load(folder, repeated.get(step)) for step, folder in folders.items()}
        images = {step: component_yaml.image(folder) for step, folder in folders.items() if in_images}

        @dsl.pipeline(  # type: ignore[untyped-decorator]  # kfp has no types
            name=f"{name.replace('_', '-')}-pipeline",
            description=steps[name].description,
            pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(WORKSPACE)),
        )
        def one_step(  # noqa: PLR0917 - a pipeline's parameters are its interface
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
                    step_memory=memory,
                )
                grant, workspace = allocate.outputs["grant"], dsl.WORKSPACE_PATH_PLACEHOLDER
                download = steps["download"](grant=grant, workspace=workspace)
                own = steps[name](
                    grant=grant,
                    workspace=workspace,
                    blocks=download.outputs["blocks"],
                    **_if_declared(steps[name], device=device),
                )
                consume = steps["consume"](
                    grant=grant, **{f"spend_{ending}": own.outputs[output] for ending, output in spends.items()}
                )
                upload = steps["upload"](
                    grant=grant,
                    receipt=consume.outputs["receipt"],
                    **{f"released_{output}": own.outputs[output] for output in self.published},
                    names=list(self.published.values()),
                    images=images,
                    prefix=prefix,
                )
                for task, limits in (
                    (allocate, CONTROL),
                    (download, DATA),
                    (own, (DATA[0], memory)),
                    (consume, CONTROL),
                    (upload, CONTROL),
                ):
                    _limit(task, limits)

        return one_step


def _if_declared(step: BaseComponent, **inputs: Any) -> dict[str, Any]:
    """Return those inputs that a component has."""
    declared = step.component_spec.inputs or {}
    return {name: value for name, value in inputs.items() if name in declared}


def _limit(task: Any, limits: tuple[str, str]) -> None:
    """Limit CPU and memory, and turn caching off: a cached consume would be a release without payment."""
    cpu, memory = limits
    task.set_cpu_limit(cpu).set_memory_limit(memory)
    task.set_caching_options(False)
