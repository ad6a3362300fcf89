"""Read a compiled pipeline from its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from privatekube import config, errors, validation
from privatekube.lint.pipeline_spec import PipelineSpec
from privatekube.lint.platform_spec import Platforms, PlatformSpec

_COMPILE = "compile the pipeline with kfp 2 and name that file"


@dataclass(frozen=True, slots=True)
class Package:
    """A compiled pipeline.

    Args:
        pipeline: its graph.
        platform: what its pods get on Kubernetes; nothing if the package does not say.
    """

    pipeline: PipelineSpec
    platform: PlatformSpec


def read(path: Path) -> Package:
    """Read a package that kfp 2 compiled: one YAML or JSON document, or two.

    Raises:
        InvalidInput: the file cannot be read, or is not such a package.
    """
    return of_documents(config.read_documents(path), source=path.name)


def of_documents(documents: Sequence[Mapping[str, Any]], *, source: str) -> Package:
    """Return a package.

    Args:
        documents: the pipeline spec; and perhaps a platform spec, the settings for Kubernetes.
        source: the name of the file, for an error message.

    Raises:
        InvalidInput: they are not a package.
    """
    pipelines = [document for document in documents if "platforms" not in document]
    platforms = [document["platforms"] for document in documents if "platforms" in document]
    if len(pipelines) != 1:
        raise errors.InvalidInput(f"{source}: holds {len(pipelines)} pipelines, must hold one; {_COMPILE}")
    if "root" not in pipelines[0]:
        raise errors.InvalidInput(f"{source}: has no root, so it is not a compiled pipeline; {_COMPILE}")
    if len(platforms) > 1:
        raise errors.InvalidInput(f"{source}: holds {len(platforms)} settings of platforms, must hold one; {_COMPILE}")
    version = str(pipelines[0].get("schemaVersion"))
    if not version.startswith("2."):
        raise errors.InvalidInput(
            f"{source}: schemaVersion: {version[:20]!r} is not 2.x, which kfp 2 writes; {_COMPILE}"
        )
    try:
        pipeline = PipelineSpec.model_validate(pipelines[0])
        settings = Platforms.model_validate(platforms[0]) if platforms else Platforms()
    except pydantic.ValidationError as error:
        fault = validation.first_fault(error).rpartition("; ")[0]
        raise errors.InvalidInput(f"{source}: {fault}; {_COMPILE}") from None
    return Package(pipeline, settings.kubernetes)
