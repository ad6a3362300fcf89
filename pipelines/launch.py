"""Start a run: compile the pipeline, and run it here or submit it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent
from rich.console import Console

from pipelines import cluster, dp_lstm, here, parts
from pipelines.parts import Parts
from privatekube import config, errors


def compile_to(run: config.RunArguments, components: Parts, path: Path) -> None:
    """Write the compiled pipeline.

    Raises:
        InvalidInput: the file cannot be written, or its name does not end in .yaml.
    """
    try:
        compiler.Compiler().compile(_pipeline(run, components), str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.invalid("compile-only", str(path), f"cannot be written ({reason})", "name a .yaml file") from error


def submit(run: config.RunArguments, components: Parts, secrets: config.ClusterSecrets) -> str:
    """Submit a run to the cluster and return its URL.

    Raises:
        InvalidInput: images that are not built, or results that would go to a folder of this machine.
    """
    parts.require_images(components, pushed=True)
    prefix = secrets.prefix or run.prefix
    if "://" not in prefix:
        raise errors.invalid("prefix", prefix, "is a folder of this machine", "give a gs:// or s3:// prefix")
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "dp_lstm.yaml"
        compiler.Compiler().compile(_pipeline(run, components), str(package))
        return cluster.submit(package, run.model_dump() | {"prefix": prefix}, secrets)


def run_here(run: config.RunArguments, components: Parts, *, in_containers: bool, console: Console) -> int:
    """Run on this machine and return the exit status.

    Raises:
        InvalidInput: images that are not built, where containers are asked for; see also `here.run`.
    """
    return here.run(run, components, in_containers=in_containers, console=console)


def _pipeline(run: config.RunArguments, components: Parts) -> BaseComponent:
    return dp_lstm.build(components, gpu=run.device == "cuda")
