"""Resume a run by its id: one that is kept in this folder, or else one of the cluster that is named there."""

from __future__ import annotations

from rich.console import Console

from privatekube import errors
from privatekube.kubeflow import cluster_file, kept_runs


def resume(run_id: str, *, console: Console, output_dir: str | None = None) -> int:
    """Resume a run up to its publication, and return the exit status.

    Args:
        run_id: id of the run.
        console: where to show its progress.
        output_dir: where to publish, in place of the prefix that the run was started with; of local runs only.

    Raises:
        NotFound: there is no such run.
        InvalidInput: it cannot publish elsewhere, or is running in another process.
        BudgetUnavailable: its claim was settled before the run had paid, so it cannot go on.
    """
    if not cluster_file.FILE.exists() or kept_runs.is_known(run_id):
        from privatekube.kubeflow import run_local  # noqa: PLC0415 - it would change kfp.local for a cluster's run

        return run_local.resume(run_id, console=console, output_dir=output_dir)
    from privatekube.kubeflow import cluster_run  # noqa: PLC0415 - it needs the Kubernetes client

    if output_dir is not None:
        raise errors.invalid(
            "--output-dir", output_dir, f"is not where run {run_id} of the cluster publishes", "leave it out"
        )
    return cluster_run.resume(run_id, cluster_file.load(), console=console)
