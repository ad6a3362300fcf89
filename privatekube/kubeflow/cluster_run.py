"""A run in the cluster: check, submit and follow it; resume one; list those of the experiment."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.dsl.base_component import BaseComponent
from kfp.pipeline_spec import pipeline_spec_pb2
from rich.console import Console

from privatekube import errors, retries
from privatekube.client import connect
from privatekube.kubeflow import compilation, run_graph, run_tasks, submission
from privatekube.kubeflow.checks import check
from privatekube.kubeflow.checks.all_checks import CHECKS
from privatekube.kubeflow.checks.check import Subject
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.follow import Follower
from privatekube.kubeflow.pipelines_api import Json, PipelinesApi
from privatekube.kubeflow.run_tasks import StepState
from privatekube.kubeflow.step_components import StepComponents
from privatekube.runs.run_arguments import RunArguments
from privatekube.store.kubernetes.inspection import Inspection

_SINGLE_USER_NAMESPACE = "kubeflow"
_SHOWN = 20
_RESTART_SECONDS = 120.0
"""How long the backend may take to start the failed steps of a run again."""


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A run that the cluster knows.

    Args:
        run_id: its id.
        name: as Kubeflow's pages have it.
        state: as the API states it.
        claim: id of its claim, as far as its arguments tell the namespace.
        url: of its page.
    """

    run_id: str
    name: str
    state: str
    claim: str
    url: str


def show_checks(
    pipeline: BaseComponent, run: RunArguments, components: StepComponents, cluster: ClusterFile, *, console: Console
) -> int:
    """Show what the checks of a run find, and return the exit status; nothing is submitted.

    Args:
        pipeline: the graph.
        run: its arguments.
        components: its steps.
        cluster: where it would run.
        console: where to print.

    Raises:
        InvalidInput: no check fails, but the pipeline breaks a rule of docs/lint.md.
    """
    with _compiled(pipeline, run, components, cluster) as (package, subject):
        status = check.show(CHECKS, subject, console)
        if status == 0:
            compilation.require_promise(package)
        return status


def start(
    pipeline: BaseComponent,
    run: RunArguments,
    components: StepComponents,
    cluster: ClusterFile,
    *,
    is_checked: bool,
    is_followed: bool,
    console: Console,
) -> int:
    """Compile a run, submit it and follow it, and return the exit status.

    Args:
        pipeline: the graph.
        run: its arguments.
        components: its steps.
        cluster: where to.
        is_checked: whether it is submitted only if no check fails.
        is_followed: whether to show the run until it ends.
        console: where to print.

    Raises:
        InvalidInput: the pipeline breaks a rule of docs/lint.md.
        PrivateKubeError: the first check that fails; or the run cannot be submitted.
    """
    components.require_images(pushed=True)
    with _compiled(pipeline, run, components, cluster) as (package, subject):
        compilation.require_promise(package)
        if is_checked:
            check.require(CHECKS, subject)
        submitted = submission.submit(subject.api, cluster, package, subject.parameters)
    console.print(f"submitted: {submitted.name}: {submitted.url}", highlight=False, soft_wrap=True)
    if not is_followed:
        return 0
    return _follower(subject.api, cluster, submitted.run_id, components.steps).follow(console)


def resume(run_id: str, cluster: ClusterFile, *, console: Console) -> int:
    """Follow a run that goes on; have one that has paid but not published publish. Return the exit status.

    Raises:
        NotFound: the cluster has no such run.
        BudgetUnavailable: it ended before it had paid: its claim is settled, and its data must not be read again.
    """
    api = PipelinesApi.of(cluster)
    run = api.run(run_id)
    if run.get("state") == "SUCCEEDED":
        console.print(f"run {run_id}: is published already", highlight=False, soft_wrap=True)
        return 0
    spec = _spec(run)
    steps = tuple(name.replace("-", "_") for name in run_graph.task_names(spec))
    if run_tasks.is_over(run):
        _require_paid(run, steps, run_graph.paying_task(spec))
        api.retry(run_id)
        retries.poll(
            lambda: api.run(run_id),
            lambda again: again.get("state") != run.get("state"),
            timeout_seconds=_RESTART_SECONDS,
            error=errors.Temporary(f"run {run_id}: has not started again; look at {submission.page(cluster, run_id)}"),
        )
        console.print(f"run {run_id}: what failed after the payment runs again", highlight=False, soft_wrap=True)
    return _follower(api, cluster, run_id, steps).follow(console)


def runs(cluster: ClusterFile) -> list[ClusterRun]:
    """Return the latest runs of the experiment, newest first."""
    api = PipelinesApi.of(cluster)
    namespace = submission.namespace_of(api, cluster)
    experiment = api.ensure_experiment(cluster.experiment, namespace)
    return list(_described(itertools.islice(api.runs(namespace=namespace, experiment=experiment), _SHOWN), cluster))


@contextlib.contextmanager
def _compiled(
    pipeline: BaseComponent, run: RunArguments, components: StepComponents, cluster: ClusterFile
) -> Iterator[tuple[Path, Subject]]:
    """Yield the compiled package, and what is checked of the run."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        compilation.compile_to(pipeline, package)
        yield (
            package,
            Subject.of(cluster, run, _parameters(run, cluster), components, package, context=connect.cluster_context()),
        )


def claim_of(run: Json) -> str | None:
    """Return the id of a run's claim; None if its arguments do not tell the namespace."""
    parameters: Mapping[str, Any] = (run.get("runtime_config") or {}).get("parameters") or {}
    namespace = parameters.get("namespace")
    return None if namespace is None else f"{namespace}/{connect.claim_name(str(run.get('run_id')))}"


def _described(listed: Iterator[Json], cluster: ClusterFile) -> Iterator[ClusterRun]:
    for run in listed:
        run_id = str(run.get("run_id"))
        claim = claim_of(run) or f"?/{connect.claim_name(run_id)}"
        name, state = str(run.get("display_name", "")), str(run.get("state") or "PENDING")
        yield ClusterRun(run_id, name, state, claim, submission.page(cluster, run_id))


def _spec(run: Json) -> Any:
    """Return the pipeline of a run, which the API states with it."""
    package = run.get("pipeline_spec") or {}
    try:
        return json_format.ParseDict(package.get("pipeline_spec", package), pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise errors.InvalidInput(
            f"run {run.get('run_id')}: is not a run of a pipeline of KFP 2; look at its page"
        ) from error


def _require_paid(run: Json, steps: tuple[str, ...], paying: str | None) -> None:
    """Check that what failed of a run comes after its payment: only that may run again."""
    tasks = run_tasks.steps(run, steps)
    failed = [step for step, task in tasks.items() if task.state is StepState.FAILED]
    pays = next((step for step in steps if run_tasks.task_name(step) == paying), None)
    has_paid = pays in tasks and tasks[pays].state is StepState.DONE
    if not has_paid:
        where = f" in {failed[0]}" if failed else ""
        raise errors.BudgetUnavailable(
            f"run {run.get('run_id')}: ended{where} before it had paid, so its claim is settled and its data must not "
            "be read again; start a new run"
        )


def _follower(api: PipelinesApi, cluster: ClusterFile, run_id: str, steps: tuple[str, ...]) -> Follower:
    namespace = submission.namespace_of(api, cluster) or _SINGLE_USER_NAMESPACE
    return Follower(api, run_id, steps, namespace, _inspection())


def _inspection() -> Inspection | None:
    """Look at the cluster of the kubeconfig; None if there is none, or it does not answer."""
    try:
        inspection = Inspection.of(connect.cluster_context())
        inspection.user()
    except errors.PrivateKubeError:
        return None
    return inspection


def _parameters(run: RunArguments, cluster: ClusterFile) -> dict[str, Any]:
    """Return the pipeline's parameters; results go to the prefix of the file unless the arguments name a bucket."""
    values: dict[str, Any] = run.model_dump(mode="json")
    if "://" not in run.prefix and cluster.prefix is not None:
        values["prefix"] = cluster.prefix
    return values
