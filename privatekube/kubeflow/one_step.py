"""The graph of a pipeline with one step of its own: allocate, download, that step, consume, upload; then release.

    step = OneStep(project=Path(), own=Path("count_visits"), published={"visits": "visits.json"})
    run_local.run(step.build(in_images=False), arguments, step.components, in_containers=False, console=console)

The other steps are those of the project's folder `components`, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from privatekube import config, errors
from privatekube.images import component_yaml
from privatekube.kubeflow import claimed_run, loading, pod_settings
from privatekube.kubeflow.claimed_run import ClaimedRun
from privatekube.kubeflow.pod_settings import PodSettings
from privatekube.kubeflow.step_components import StepComponents

BEFORE, AFTER = ("allocate", "download"), ("consume", "upload", "release")
"""The project's steps around the own one; the last is the exit task, which runs however the others end."""
SPEND = "spend"


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

    def build(self, *, in_images: bool, pods: PodSettings | None = None, device: str = "auto") -> BaseComponent:
        """Build the pipeline; its parameters are the fields of `runs.run_arguments.RunArguments`.

        Args:
            in_images: whether the steps run in their images, which the privacy card then states.
            pods: what the pods of a cluster get; None for a run on this machine.
            device: the argument of the run, which decides about GPUs if the own step has an input `device`.

        Raises:
            InvalidInput: a component cannot be read, or `pods` does not fit the steps or the device.
        """
        folders, name = self.components.folders, self.own.name
        settings = pods or PodSettings()
        needs = settings.pods({**pod_settings.PROJECT_PODS, name: pod_settings.MODEL_POD})
        spends = {output.removeprefix(f"{SPEND}_"): output for output in self._spends}
        repeated = {"consume": {"spend": tuple(spends)}, "upload": {"released": tuple(self.published)}}
        steps = {step: loading.load(folder, repeated.get(step)) for step, folder in folders.items()}
        images = {step: component_yaml.image(folder) for step, folder in folders.items() if in_images}
        has_device = "device" in (steps[name].component_spec.inputs or {})
        gpus = {name: settings.gpus_of(trains=True, device=device)} if has_device and pods is not None else {}

        def graph(run: ClaimedRun) -> dict[str, dsl.PipelineTask]:
            grant, workspace = run.grant, run.workspace
            download = steps["download"](grant=grant, workspace=workspace)
            own = steps[name](
                grant=grant,
                workspace=workspace,
                blocks=download.outputs["blocks"],
                **({"device": run.device} if has_device else {}),
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
                prefix=run.prefix,
            )
            return {"download": download, name: own, "consume": consume, "upload": upload}

        return claimed_run.pipeline(
            graph,
            steps,
            name=f"{name.replace('_', '-')}-pipeline",
            description=steps[name].description,
            step_memory=needs[name].memory[1],
            needs=needs,
            pods=pods,
            gpus=gpus,
        )
