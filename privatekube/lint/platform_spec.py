"""The part of a package's second document that the rules read: KFP's settings of the pods for Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privatekube.lint.pipeline_spec import Message, RuntimeValue, TaskInput, TaskOutput


class VolumeMount(Message):
    """A volume that a pod mounts by the name of its claim; earlier versions of kfp write the name into the mount."""

    mount_path: str = ""
    pvc_name_parameter: TaskInput | None = None
    task_output_parameter: TaskOutput | None = None
    component_input_parameter: str | None = None
    constant: str = ""

    @property
    def name(self) -> TaskInput:
        """Where the name of the volume's claim is from."""
        return self.pvc_name_parameter or TaskInput(
            task_output_parameter=self.task_output_parameter,
            component_input_parameter=self.component_input_parameter,
            runtime_value=RuntimeValue(constant=self.constant),
        )


class Secret(Message):
    """A Secret that a pod gets, as variables or as a volume."""

    secret_name: str = ""
    secret_name_parameter: TaskInput = TaskInput()

    @property
    def name(self) -> str:
        """The name of the Secret, or of the parameter that names it."""
        source = self.secret_name_parameter
        return str(self.secret_name or source.runtime_value.constant or source.graph_input or "whose name is computed")


class PodSpec(Message):
    """What the pod of one executor gets."""

    pvc_mount: tuple[VolumeMount, ...] = ()
    secret_as_env: tuple[Secret, ...] = ()
    secret_as_volume: tuple[Secret, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of its Secrets."""
        return tuple(secret.name for secret in (*self.secret_as_env, *self.secret_as_volume))


class PodSpecs(Message):
    """What the pods of each executor get, by its label."""

    executors: Mapping[str, PodSpec] = {}


class VolumeClaim(Message):
    """The claim of the workspace's volume: one that exists, and what it starts with, outlive the run."""

    volume_name: str = ""
    data_source: Any = None
    data_source_ref: Any = None


class KubernetesWorkspace(Message):
    """The workspace on Kubernetes."""

    pvc_spec_patch: VolumeClaim = VolumeClaim()


class Workspace(Message):
    """The workspace of a run."""

    kubernetes: KubernetesWorkspace = KubernetesWorkspace()


class PipelineConfig(Message):
    """What a whole run gets."""

    workspace: Workspace = Workspace()


class PlatformSpec(Message):
    """The settings for Kubernetes."""

    deployment_spec: PodSpecs = PodSpecs()
    pipeline_config: PipelineConfig = PipelineConfig()


class Platforms(Message):
    """The second document of a package."""

    kubernetes: PlatformSpec = PlatformSpec()
