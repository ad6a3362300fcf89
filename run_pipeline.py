"""Run the pipeline: compile it, then run it on this machine or submit it to Kubeflow Pipelines."""

from __future__ import annotations

import enum
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from pipelines import cluster, dp_lstm, here
from privatekube import commandline, config, errors, listing

SECRETS = Path("client_secrets.yaml")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
say = listing.console(stderr=True)


class Runner(enum.StrEnum):
    """How steps run on this machine."""

    ENVIRONMENT = "environment"
    DOCKER = "docker"


@app.command()
def main(  # noqa: PLR0917 - typer reads the options off the signature
    arguments: Annotated[Path, typer.Option(help="YAML file of run arguments.")] = Path("arguments.yaml"),
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, overrides one argument.")] = None,
    where: Annotated[
        bool | None,
        typer.Option("--cluster/--local", help="Submit, or run here. Default: submit where client_secrets.yaml is."),
    ] = None,
    runner: Annotated[
        Runner, typer.Option(help="Local steps in this Python, or in their images.")
    ] = Runner.ENVIRONMENT,
    output_dir: Annotated[str | None, typer.Option(help="Overrides the argument prefix.")] = None,
    compile_only: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the compiled pipeline, and stop.")
    ] = None,
) -> int:
    """Train and publish a model of private reviews, paid for in privacy budget.

    Exit status: 0 published, 2 bad input or waited too long, 3 the budget is not available, 4 a step used more than
    it was granted, 130 interrupted.
    """
    overrides = [*(set_ or []), *([f"prefix={output_dir}"] if output_dir else [])]
    run = config.load_arguments(arguments, overrides)
    on_cluster = SECRETS.exists() if where is None else where
    pipeline = dp_lstm.build(gpu=run.device == "cuda")
    if compile_only:
        compiler.Compiler().compile(pipeline, str(compile_only))
        say.print(f"compiled to {compile_only}")
        return 0
    if on_cluster:
        return _submit(run, pipeline)
    if where is None:
        say.print(f"no {SECRETS}: running on this machine")
    if runner is Runner.DOCKER:
        dp_lstm.require_images()
    return here.run(run, in_containers=runner is Runner.DOCKER, console=say)


def _submit(run: config.RunArguments, pipeline: BaseComponent) -> int:
    secrets = config.load_secrets(SECRETS)
    dp_lstm.require_images()
    prefix = secrets.prefix or run.prefix
    if "://" not in prefix:
        raise errors.invalid("prefix", prefix, "is a folder of this machine", "give a gs:// or s3:// prefix")
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "dp_lstm.yaml"
        compiler.Compiler().compile(pipeline, str(package))
        url = cluster.submit(package, run.model_dump() | {"prefix": prefix}, secrets)
    say.print(f"submitted: {url}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    commandline.run(app)
