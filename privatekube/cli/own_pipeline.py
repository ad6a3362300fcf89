"""The command line of a pipeline of your own: run it on this machine with its arguments, compile it, or submit it.

step = one_step.OneStep(project=Path(), own=Path("count_visits"), published={"visits": "visits.json"})
if __name__ == "__main__":
own_pipeline.main(step, arguments=Path("arguments.yaml"))
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from privatekube.cli import console, typer_app
from privatekube.kubeflow import cluster_file, cluster_run, compilation, pod_settings, run_local
from privatekube.kubeflow.one_step import OneStep
from privatekube.runs import hook, run_arguments
from privatekube.runs.checked_run import CheckedRun


class Runner(enum.StrEnum):
    """How the steps of a local run are started."""

    ENVIRONMENT = "environment"
    DOCKER = "docker"


def main(step: OneStep, *, arguments: Path) -> NoReturn:
    """Run what the command line of this process says, and exit with its status.

    Args:
        step: the pipeline.
        arguments: the YAML file with its arguments.

    Raises:
        SystemExit: always.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def run(
        set_: Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one argument.")
        ] = None,
        runner: Annotated[
            Runner, typer.Option(help="Run the steps in this Python environment, or in their images.")
        ] = Runner.ENVIRONMENT,
        cluster: Annotated[
            bool, typer.Option("--cluster", help="Submit to the Kubeflow Pipelines that client_secrets.yaml names.")
        ] = False,
        compile_only: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Write the compiled pipeline to this file and stop.")
        ] = None,
    ) -> int:
        """Run this pipeline on this machine, compile it for Kubeflow Pipelines, or submit it."""
        given, pods = run_arguments.load(arguments, set_ or []), pod_settings.load(arguments, set_ or [])
        if compile_only is not None:
            compilation.compile_to(step.build(in_images=True, pods=pods, device=given.device), compile_only)
            return 0
        hook.run(CheckedRun(given))
        terminal = console.progress_console()
        if cluster:
            pods.require_time_for(given.timeout_seconds)
            return cluster_run.start(
                step.build(in_images=True, pods=pods, device=given.device),
                given,
                step.components,
                cluster_file.load(),
                is_checked=True,
                is_followed=False,
                console=terminal,
            )
        in_containers = runner is Runner.DOCKER
        pipeline = step.build(in_images=in_containers)
        return run_local.run(pipeline, given, step.components, in_containers=in_containers, console=terminal)

    typer_app.run(app, extra="pipeline")
