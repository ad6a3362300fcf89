"""The control plane in the cluster: its kinds, its controller, what the run's account may do, and the budget."""

from __future__ import annotations

from privatekube import errors
from privatekube.client import run_demand
from privatekube.forecast import forecast, text
from privatekube.forecast.forecast import Forecast
from privatekube.kubeflow import submission
from privatekube.kubeflow.checks.check import Subject, Unknown
from privatekube.resources import summary
from privatekube.store.kubernetes.inspection import Permission, service_account
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE

_INSTALL = "install them: kubectl apply -k manifests/overlays/kubeflow (or standalone, gke)"
_PODS = f"kubectl -n {SYSTEM_NAMESPACE} get pods -l app=privatekube-controller"
_STALE_SECONDS = 60
_NEEDED = (
    ("get", "privatedatablocks"),
    ("list", "privatedatablocks"),
    ("get", "privacybudgetclaims"),
    ("create", "privacybudgetclaims"),
    ("update", "privacybudgetclaims"),
)
_SINGLE_USER = ("pipeline-runner", "kubeflow")
_PROFILE_ACCOUNT = "default-editor"


def cluster(subject: Subject) -> str:
    """Check that the cluster's API server answers."""
    return f"{subject.kubernetes.server} as {subject.kubernetes.user()}"


def namespaces(subject: Subject) -> str:
    """Check that the namespaces of the runs and of the blocks exist."""
    names = dict.fromkeys(filter(None, (_run_namespace(subject), subject.run.namespace)))
    for name in names:
        if not subject.kubernetes.has_namespace(name):
            raise errors.NotFound(
                f"namespace {name}: does not exist; create it (kubectl create namespace {name}), or correct namespace "
                "in client_secrets.yaml (of the run) or arguments.yaml (of the blocks)"
            )
    return ", ".join(names)


def definitions(subject: Subject) -> str:
    """Check that the resource definitions are installed, with the fields of this version."""
    try:
        missing = subject.kubernetes.missing_fields()
    except (errors.NotFound, errors.NotServed) as error:
        raise errors.InvalidInput(f"resource definitions: are not installed; {_INSTALL}") from error
    if missing:
        raise errors.InvalidInput(
            f"resource definitions: are of an earlier version ({missing[0]} is missing); run kubectl apply -k "
            "manifests/base"
        )
    return "are installed"


def controller(subject: Subject) -> str:
    """Check that a controller has renewed its lease."""
    age = subject.kubernetes.lease_age_seconds()
    if age is None:
        raise errors.StoreBusy(f"controller: none leads; look: {_PODS}")
    if age > _STALE_SECONDS:
        raise errors.StoreBusy(f"controller: has not renewed its lease for {age:.0f} s; look: {_PODS}")
    return f"renewed its lease {max(age, 0):.0f} s ago"


def roles(subject: Subject) -> str:
    """Check that the service account of the run may claim in the namespace of the blocks."""
    name, namespace = _account(subject)
    account, target = service_account(name, namespace), subject.run.namespace
    try:
        if not subject.kubernetes.has_service_account(name, namespace):
            raise errors.NotFound(
                f"service account {namespace}/{name}: does not exist; correct service_account in client_secrets.yaml"
            )
        missing = [
            permission
            for permission in (Permission(verb, resource, target) for verb, resource in _NEEDED)
            if not subject.kubernetes.is_allowed(permission, account=account)
        ]
    except errors.NotServed as error:
        raise Unknown(
            f"you may not ask what others may do; have an administrator run kubectl auth can-i create pbc -n {target} "
            f"--as {account}"
        ) from error
    if missing:
        raise errors.InvalidInput(
            f"roles: {account} may not {missing[0]}, which arguments.yaml names; run kubectl create rolebinding "
            f"privatekube-claimants -n {target} --clusterrole privatekube-claimant --serviceaccount {namespace}:{name}"
        )
    return f"{namespace}/{name} may claim in {target}"


def blocks(subject: Subject) -> str:
    """Check that blocks match the arguments, and that pods can reach their data."""
    run = subject.run
    matching = run_demand.matching(subject.budgets, run)
    for block in matching:
        if block.spec.data_source.startswith(("file://", "/")):
            raise errors.InvalidInput(
                f"block {block.id}: its data is at {block.spec.data_source}, a folder that no pod can read; create the "
                f"blocks with --data-dir {subject.cluster.data or 'gs://... or s3://...'}"
            )
    return f"{summary.number_of_blocks(len(matching))} of {run.dataset} in {run.namespace}"


def budget(subject: Subject) -> str:
    """Check that the run would be granted its budget, under the policy of the cluster, before its time is over."""
    demand = run_demand.of_run(subject.budgets, subject.run, memory_bytes=None)
    prediction = forecast.forecast_request(
        subject.budgets,
        subject.run.namespace,
        demand.request,
        subject.run.requester,
        deadline_ms=subject.run.deadline_ms,
    )
    lines = list(text.lines(prediction))
    if prediction.refusal is not None:
        raise errors.BudgetUnavailable(f"budget: {lines[0]}; see privatekube plan")
    if prediction.granted:
        return lines[0]
    waits = _seconds_to_wait(subject, prediction)
    if waits is not None and waits <= subject.run.timeout_seconds:
        return f"would wait for {waits:.0f} s"
    raise errors.DeadlineExceeded(f"budget: {'; '.join(lines)}{_remedy(subject, prediction)}")


def _seconds_to_wait(subject: Subject, prediction: Forecast) -> float | None:
    if prediction.granted_at_ms is None:
        return None
    return max(0.0, (prediction.granted_at_ms - subject.kubernetes.clock.now_ms()) / 1000)


def _remedy(subject: Subject, prediction: Forecast) -> str:
    """Return how long the run would wait, and what would be granted instead."""
    waits = f", longer than timeout_seconds ({subject.run.timeout_seconds})"
    if prediction.arrivals is not None:
        waits = f" until {prediction.arrivals} more requests have come"
    part = prediction.fitting_share
    lower = f"{part:.0%} of epsilon would be granted now: lower it" if part else "see privatekube plan"
    return f"{waits}; {lower}, or submit with --no-check"


def _run_namespace(subject: Subject) -> str | None:
    return submission.namespace_of(subject.api, subject.cluster)


def _account(subject: Subject) -> tuple[str, str]:
    """Return the name and the namespace of the service account of the run's pods."""
    namespace = _run_namespace(subject)
    if namespace is None:
        return subject.cluster.service_account or _SINGLE_USER[0], _SINGLE_USER[1]
    return subject.cluster.service_account or _PROFILE_ACCOUNT, namespace
