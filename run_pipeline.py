"""Run the pipeline: compile it, then run it on this machine or submit it to Kubeflow Pipelines."""

from __future__ import annotations

import enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from privatekube import config
from privatekube.cli import console, typer_app

ROOT = Path(__file__).resolve().parent
SECRETS = Path("client_secrets.yaml")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
say = console.console(stderr=True)


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
    component: Annotated[
        list[str] | None, typer.Option(metavar="STEP=FOLDER", help="A component of your own in place of a step's.")
    ] = None,
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
    # kfp takes seconds to import: arguments are checked first
    from pipelines import dp_lstm  # noqa: PLC0415
    from privatekube.kubeflow import run_local, step_components, submit  # noqa: PLC0415

    components = step_components.StepComponents.of_project(ROOT, dp_lstm.STEPS).replace(component or [])
    build = partial(dp_lstm.build, components.folders, gpu=run.device == "cuda")
    if compile_only:
        submit.compile_to(build(), compile_only)
        say.print(f"compiled to {compile_only}", soft_wrap=True)
        return 0
    if SECRETS.exists() if where is None else where:
        url = submit.submit(build(), run, components, config.load_secrets(SECRETS))
        say.print(f"submitted: {url}", soft_wrap=True)
        return 0
    if where is None:
        say.print(f"no {SECRETS}: running on this machine")
    pipeline = build(retries=0)  # no pod is lost here
    return run_local.run(pipeline, run, components, in_containers=runner is Runner.DOCKER, console=say)


if __name__ == "__main__":
    typer_app.run(app)
