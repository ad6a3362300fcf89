"""Compile a pipeline for Kubeflow Pipelines, and check what it promises."""

from __future__ import annotations

from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from privatekube import errors
from privatekube.lint import reading, rules


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


def require_promise(package: Path) -> None:
    """Check a compiled pipeline by the rules of docs/lint.md, as `privatekube lint` does.

    Raises:
        InvalidInput: it breaks one; the message has the first finding.
    """
    findings = rules.check(reading.read(package))
    if findings:
        raise errors.InvalidInput(f"pipeline: {findings[0]}")
