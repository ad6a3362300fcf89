"""Read a compiled pipeline from its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from privatekube import config, errors, validation
from privatekube.lint.pipeline_spec import PipelineSpec

_COMPILE = "compile the pipeline with kfp 2 and name that file"


def read(path: Path) -> PipelineSpec:
    """Read a package that kfp 2 compiled: one YAML or JSON document, or two.

    Raises:
        InvalidInput: the file cannot be read, or is not such a package.
    """
    return of_documents(config.read_documents(path), source=path.name)


def of_documents(documents: Sequence[Mapping[str, Any]], *, source: str) -> PipelineSpec:
    """Return the pipeline in a package.

    Args:
        documents: the pipeline spec; and a platform spec, such as the settings for Kubernetes, which no rule reads.
        source: the name of the file, for an error message.

    Raises:
        InvalidInput: they are not a package.
    """
    pipelines = [document for document in documents if "platforms" not in document]
    if len(pipelines) != 1:
        raise errors.InvalidInput(f"{source}: holds {len(pipelines)} pipelines, must hold one; {_COMPILE}")
    if "root" not in pipelines[0]:
        raise errors.InvalidInput(f"{source}: has no root, so it is not a compiled pipeline; {_COMPILE}")
    version = str(pipelines[0].get("schemaVersion"))
    if not version.startswith("2."):
        raise errors.InvalidInput(
            f"{source}: schemaVersion: {version[:20]!r} is not 2.x, which kfp 2 writes; {_COMPILE}"
        )
    try:
        return PipelineSpec.model_validate(pipelines[0])
    except pydantic.ValidationError as error:
        fault = validation.first_fault(error).rpartition("; ")[0]
        raise errors.InvalidInput(f"{source}: {fault}; {_COMPILE}") from None
