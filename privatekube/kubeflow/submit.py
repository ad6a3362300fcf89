"""Compile a pipeline, and submit it to Kubeflow Pipelines."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from privatekube import errors
from privatekube.kubeflow import submission
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.pipelines_api import PipelinesApi
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.submission import SubmittedRun


def compile_to(pipeline: BaseComponent, path: Path) -> None:
    """Write the compiled pipeline.

    Raises:
        InvalidInput: the file cannot be written, or its name does not end in .yaml.
    """
    try:
        compiler.Compiler().compile(pipeline, str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.invalid("compile-only", str(path), f"cannot be written ({reason})", "name a .yaml file") from error


def submit(
    pipeline: BaseComponent, arguments: Mapping[str, Any], components: StepComponents, cluster: ClusterFile
) -> SubmittedRun:
    """Submit a run to the cluster.

    Raises:
        InvalidInput: an image is not built, or the results would go to a folder of this machine; see also
            `submission.submit`.
        Temporary: the cluster cannot be reached.
    """
    components.require_images(pushed=True)
    prefix = cluster.prefix or str(arguments["prefix"])
    if "://" not in prefix:
        raise errors.invalid("prefix", prefix, "is a folder of this machine", "give a gs:// or s3:// prefix")
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(package))
        api = PipelinesApi.of(cluster)
        return submission.submit(api, cluster, package, {**arguments, "prefix": prefix})
