"""Compile the pipeline, then run it on this machine or submit it to Kubeflow Pipelines."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from privatekube import entrypoint, errors

with entrypoint.imports_of("pipeline"):
    import typer

    from privatekube import validation
    from privatekube.cli import console, typer_app
    from privatekube.kubeflow import pod_settings
    from privatekube.runs import hook, run_arguments

ROOT = Path(__file__).resolve().parent
SECRETS = Path("client_secrets.yaml")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
terminal = console.progress_console()


class Runner(enum.StrEnum):
    """How the steps of a local run are started."""

    ENVIRONMENT = "environment"
    DOCKER = "docker"


@app.command()
def main(  # noqa: PLR0917 - typer reads the options off the signature
    arguments: Annotated[Path, typer.Option(help="YAML file with the arguments of the run.")] = Path("arguments.yaml"),
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one argument.")] = None,
    where: Annotated[
        bool | None,
        typer.Option("--cluster/--local", help="Submit, or run here. Default: submit if client_secrets.yaml exists."),
    ] = None,
    runner: Annotated[
        Runner, typer.Option(help="Run local steps in this Python environment, or in their images.")
    ] = Runner.ENVIRONMENT,
    component: Annotated[
        list[str] | None, typer.Option(metavar="STEP=FOLDER", help="Use another component for a step.")
    ] = None,
    output_dir: Annotated[str | None, typer.Option(help="Override the argument prefix.")] = None,
    compile_only: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the compiled pipeline to this file and stop.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was cut off; see privatekube runs.")
    ] = None,
    check: Annotated[
        bool | None,
        typer.Option("--check/--no-check", help="Only check whether a run could start in the cluster, or never check."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show the submitted run until it ends.")] = False,
) -> int:
    """Train and publish a model of private reviews within a privacy budget.

    Exit status: 0 published, 2 bad input or waited too long, 3 the budget is not available, 4 a step used more than
    it was granted, 130 interrupted.
    """
    if resume is not None:
        others = [tuple(set_ or ()), where, tuple(component or ()), compile_only, check]
        return _resume(resume, output_dir, others=others)
    overrides = [*(set_ or []), *([f"prefix={output_dir}"] if output_dir else [])]
    run = run_arguments.load(arguments, overrides)
    pods = pod_settings.load(arguments, overrides)
    # kfp takes seconds to import: arguments are checked first; what is about a cluster is imported for one alone
    from pipelines import dp_lstm  # noqa: PLC0415
    from privatekube.kubeflow import compilation, step_components  # noqa: PLC0415
    from privatekube.runs.checked_run import CheckedRun  # noqa: PLC0415
    from privatekube.training import machine  # noqa: PLC0415

    components = step_components.StepComponents.of_project(ROOT, dp_lstm.STEPS).replace(component or [])
    build = partial(dp_lstm.build, components.folders, device=run.device)
    if compile_only:
        compilation.compile_to(build(pods=pods), compile_only)
        terminal.print(f"compiled to {compile_only}", soft_wrap=True)
        return 0
    if SECRETS.exists() if where is None else where:
        from privatekube.kubeflow import cluster_file, cluster_run  # noqa: PLC0415

        pods.require_time_for(run.timeout_seconds)
        hook.run(CheckedRun(run, validation.parse_bytes(dp_lstm.training_memory_of(pods))))
        pipeline, cluster = build(pods=pods), cluster_file.load(SECRETS)
        if check:
            return cluster_run.show_checks(pipeline, run, components, cluster, console=console.console())
        return cluster_run.start(
            pipeline, run, components, cluster, is_checked=check is None, is_followed=follow, console=terminal
        )
    if check is not None or follow:
        remedy = (
            "leave out --local" if where is False else f"copy client_secrets.example.yaml to {SECRETS} and fill it in"
        )
        raise errors.InvalidInput(f"--check, --no-check, --follow: are about a run in a cluster; {remedy}")
    if where is None:
        terminal.print(f"{SECRETS} does not exist: running on this machine")
    from privatekube.kubeflow import run_local  # noqa: PLC0415

    memory = machine.available_memory()
    hook.run(CheckedRun(run, memory))
    if memory is not None:
        build = partial(build, training_memory=f"{memory >> 20}Mi")
    pipeline = build(in_images=runner is Runner.DOCKER)
    return run_local.run(pipeline, run, components, in_containers=runner is Runner.DOCKER, console=terminal)


def _resume(run_id: str, output_dir: str | None, *, others: Sequence[object]) -> int:
    """Go on with a run, which has its arguments already."""
    if any(option not in {None, ()} for option in others):
        raise errors.invalid("--resume", run_id, "goes with --output-dir alone", "leave out the other options")
    from privatekube.kubeflow import resume  # noqa: PLC0415 - see main

    return resume.resume(run_id, console=terminal, output_dir=output_dir)


if __name__ == "__main__":
    typer_app.run(app, extra="pipeline")
