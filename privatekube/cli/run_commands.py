"""The commands `privatekube runs`, `publish` and `discard`: what became of runs, and how they go on or end."""

from __future__ import annotations

from typing import Annotated

import typer

from privatekube import errors
from privatekube.cli import console, output

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, as `privatekube runs` shows it.")]


def runs(
    output_format: Annotated[
        output.Format, typer.Option("--output", "-o", help="Output format.")
    ] = output.Format.TABLE,
) -> None:
    """List the runs of this folder that are not published, and those of the cluster that client_secrets.yaml names."""
    from privatekube.kubeflow import cluster_file, kept_runs  # noqa: PLC0415 - see the docstring of cli.app

    in_cluster = []
    if cluster_file.FILE.exists():
        from privatekube.kubeflow import cluster_run  # noqa: PLC0415 - kfp takes seconds to import

        try:
            in_cluster = cluster_run.runs(cluster_file.load())
        except errors.PrivateKubeError as error:  # the local runs are listed whether the cluster answers or not
            typer.echo(f"warning: runs of the cluster are not listed: {error}", err=True)
    output.show_runs(kept_runs.kept(), in_cluster, output_format)


def publish(
    run: Run,
    output_dir: Annotated[str | None, typer.Option(help="Publish there, not where the run was to publish.")] = None,
) -> int:
    """Go on with a run of this folder, or of the cluster, up to its publication; pay only once."""
    from privatekube.kubeflow import resume  # noqa: PLC0415 - kfp takes seconds to import

    return resume.resume(run, console=console.progress_console(), output_dir=output_dir)


def discard(run: Run) -> None:
    """Give up a run of this folder, or of the cluster, paid or not: end it, settle its claim, remove what is kept."""
    from privatekube.kubeflow import discard as discarding  # noqa: PLC0415 - see the docstring of cli.app

    typer.echo(f"run {run}: {discarding.discard(run)}")
