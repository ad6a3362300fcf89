"""Kubeflow Pipelines: its host answers, takes the sign-in, knows the namespace, and would take the arguments."""

from __future__ import annotations

from privatekube import errors
from privatekube.kubeflow import pipeline_arguments, submission
from privatekube.kubeflow import web as http
from privatekube.kubeflow.checks.check import Subject
from privatekube.kubeflow.pipelines_api import V2
from privatekube.kubeflow.web import Request


def pinned(subject: Subject) -> str:
    """Check that each component's image is built and pushed."""
    return f"{len(set(subject.components.require_images(pushed=True)))} images are pinned by digest"


def arguments(subject: Subject) -> str:
    """Check the arguments against the package, and that results do not go to a folder of this machine."""
    prefix = str(subject.parameters.get("prefix", ""))
    if "prefix" in subject.parameters and "://" not in prefix:
        raise errors.invalid(
            "prefix", prefix, "is a folder of this machine", "give a gs:// or s3:// prefix in client_secrets.yaml"
        )
    values = pipeline_arguments.checked(subject.package.spec, subject.parameters)
    return f"{len(values)} arguments fit the pipeline"


def host(subject: Subject) -> str:
    """Check that the host answers, with a certificate that is trusted."""
    url = subject.cluster.url
    response = subject.api.web.send(Request("GET", f"{url}{V2}/healthz"))
    unverified = "; its certificate is NOT checked" if not subject.cluster.verify_ssl else ""
    return f"{http.place(url)} answers {response.status_code}{unverified}"


def sign_in(subject: Subject) -> str:
    """Check that the credentials are taken."""
    health = subject.api.health()
    version = f", version {health.version}" if health.version else ""
    return f"by {subject.cluster.sign_in.kind}{version}"


def namespace(subject: Subject) -> str:
    """Check that runs of the namespace may be listed."""
    named = submission.namespace_of(subject.api, subject.cluster)
    next(subject.api.runs(namespace=named), None)
    return "an installation of one user" if named is None else f"{named} is yours"
