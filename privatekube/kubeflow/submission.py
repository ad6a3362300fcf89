"""Submit a compiled pipeline: check its arguments, name the run, and require that the server says which run it is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from privatekube import errors
from privatekube.kubeflow import pipeline_arguments
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.pipelines_api import Json, PipelinesApi

_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Package:
    """A compiled pipeline: KFP's PipelineSpec, and what it says of the platform.

    Args:
        spec: the pipeline.
        platform: the second document of the package; empty if it has none.
    """

    spec: pipeline_spec_pb2.PipelineSpec
    platform: Json

    @classmethod
    def read(cls, path: Path) -> Package:
        """Read a package that kfp compiled.

        Raises:
            InvalidInput: it is not one.
        """
        try:
            documents = [content for content in yaml.safe_load_all(path.read_text(encoding="utf-8")) if content]
            spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
        except (OSError, ValueError, IndexError, yaml.YAMLError, json_format.ParseError) as error:
            raise errors.InvalidInput(f"package: {path} is not a compiled pipeline; compile it again") from error
        return cls(spec, documents[1] if len(documents) > 1 else {})

    def uncached(self) -> Package:
        """Return the package with caching off for every task, also inside groups: a cached payment pays for nothing."""
        spec = pipeline_spec_pb2.PipelineSpec()
        spec.CopyFrom(self.spec)
        for dag in (spec.root.dag, *(component.dag for component in spec.components.values())):
            for task in dag.tasks.values():
                task.caching_options.enable_cache = False
        return Package(spec, self.platform)

    def to_json(self) -> Json:
        """Return the package as the API takes it."""
        spec: Json = json_format.MessageToDict(self.spec)
        return {"pipeline_spec": spec, "platform_spec": self.platform} if self.platform else spec


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run in the cluster.

    Args:
        run_id: its id, which names its claim.
        name: as Kubeflow's pages list it.
        url: of its page.
    """

    run_id: str
    name: str
    url: str


def submit(api: PipelinesApi, cluster: ClusterFile, package: Path, arguments: Mapping[str, Any]) -> SubmittedRun:
    """Create a run of a package.

    Args:
        api: of the cluster.
        cluster: namespace, service account, experiment and pipeline root of the run.
        package: the compiled pipeline.
        arguments: of the pipeline.

    Raises:
        InvalidInput: an argument does not fit the pipeline, or the server refuses the run, the namespace or the
            sign-in, or answers anything but the run.
        Temporary: it cannot be reached.
    """
    content = Package.read(package).uncached()
    values = pipeline_arguments.checked(content.spec, arguments)
    namespace = namespace_of(api, cluster)
    name = run_name(values, content.spec.pipeline_info.name)
    run = kfp_server_api.V2beta1Run(
        display_name=name,
        description="Its claim is named run-<id of this run>; privatekube explain shows it.",
        experiment_id=api.ensure_experiment(cluster.experiment, namespace),
        pipeline_spec=content.to_json(),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=values, pipeline_root=cluster.pipeline_root),
        service_account=cluster.service_account,
    )
    run_id = api.create_run(run)
    return SubmittedRun(run_id, name, page(cluster, run_id))


def namespace_of(api: PipelinesApi, cluster: ClusterFile) -> str | None:
    """Return the namespace to name in calls: an installation of one user takes none.

    Raises:
        InvalidInput: the installation has several users, and the file names no namespace.
    """
    if not api.health().multi_user:
        return None
    if cluster.namespace is None:
        raise errors.InvalidInput(
            "namespace: is not given, and this installation has a namespace for each profile; name yours in "
            "client_secrets.yaml"
        )
    return cluster.namespace


def page(cluster: ClusterFile, run_id: str) -> str:
    """Return the URL of a run's page."""
    return f"{cluster.url}/#/runs/details/{run_id}"


def run_name(arguments: Mapping[str, Any], pipeline: str) -> str:
    """Return a name that tells runs apart: the data, the budget, and a word of its own.

    The run's claim cannot be in it: its name is made of the id that the server gives.

    Args:
        arguments: of the pipeline.
        pipeline: its name, for one without such arguments.
    """
    word = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return " ".join([*_description(arguments, pipeline), word])[:_LONGEST_NAME]


def _description(arguments: Mapping[str, Any], pipeline: str) -> Iterator[str]:
    yield str(arguments.get("dataset") or pipeline)[:60]
    epsilon = arguments.get("epsilon")
    if isinstance(epsilon, int | float):
        yield f"epsilon {epsilon:g}"
