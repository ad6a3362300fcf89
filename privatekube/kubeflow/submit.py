"""Compile a pipeline for Kubeflow Pipelines."""

from __future__ import annotations

from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from privatekube import errors


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
