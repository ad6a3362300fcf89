"""Give up a run by its id: one that is kept in this folder, or else one of the cluster that is named there."""

from __future__ import annotations

import os

from privatekube import errors, retries
from privatekube.client import connect
from privatekube.kubeflow import cluster_file, kept_runs
from privatekube.kubeflow.cluster_file import ClusterFile

_END_SECONDS = 120.0
"""How long the backend may take to end a run that is terminated."""


def discard(run_id: str) -> str:
    """End a run, settle its claim, remove what is kept of it here, and return what was done, in words.

    Raises:
        NotFound: there is no such run.
        InvalidInput: it is running in another process; or has no claim.
        Temporary: the cluster does not end it.
    """
    if not cluster_file.FILE.exists() or kept_runs.is_known(run_id):
        return f"removed; claim: {kept_runs.discard(run_id)}"
    return _discard_in_cluster(run_id, cluster_file.load())


def _discard_in_cluster(run_id: str, cluster: ClusterFile) -> str:
    """Terminate a run of the cluster and settle its claim: Kubeflow runs no exit task of a terminated run."""
    from privatekube.kubeflow import cluster_run, run_tasks  # noqa: PLC0415 - they need the Kubernetes client
    from privatekube.kubeflow.pipelines_api import PipelinesApi  # noqa: PLC0415

    api = PipelinesApi.of(cluster)
    run = api.run(run_id)
    claim = cluster_run.claim_of(run)
    if claim is None:
        raise errors.InvalidInput(f"run {run_id}: has no argument namespace, so its claim is not known; terminate it")
    done = "had ended"
    if not run_tasks.is_over(run):
        api.terminate(run_id)
        retries.poll(
            lambda: api.run(run_id),
            run_tasks.is_over,
            timeout_seconds=_END_SECONDS,
            error=errors.Temporary(f"run {run_id}: does not end; try again, and until then its claim stays as it is"),
        )
        done = "terminated"
    store = os.environ.get(connect.STORE) if connect.is_cluster() else None
    with connect.connect(store or "kubernetes") as client:
        return f"{done}; claim: {client.settle(claim)}"
