"""Where data is read and results are written, as far as this machine can see: pods have credentials of their own."""

from __future__ import annotations

from privatekube import errors
from privatekube.client import run_demand
from privatekube.kubeflow.checks.check import Subject, Unknown
from privatekube.storage import uris


def results(subject: Subject) -> str:
    """Check that the prefix of the results can be written."""
    prefix = str(subject.parameters["prefix"])
    try:
        uris.require_writable(prefix)
    except errors.NotFound as error:
        raise errors.InvalidInput(
            f"prefix: {prefix} is in no bucket that exists; create it, or correct prefix"
        ) from error
    except errors.PrivateKubeError as error:
        raise Unknown(f"not from this machine: {error}") from error
    return f"{prefix} can be written from here"


def data(subject: Subject) -> str:
    """Check that the blocks' data is below `data` of client_secrets.yaml, if it states one, and is there."""
    sources = [block.spec.data_source for block in run_demand.matching(subject.budgets, subject.run)]
    place = subject.cluster.data
    for source in sources if place else ():
        if not source.startswith(f"{str(place).rstrip('/')}/"):
            raise errors.InvalidInput(
                f"data: {source} is not below {place}, which the pods' credentials are for; correct data in "
                "client_secrets.yaml, or n_blocks and conditions in arguments.yaml"
            )
    try:
        is_there = uris.exists(sources[0])
    except errors.PrivateKubeError as error:
        raise Unknown(f"not from this machine: {error}") from error
    if not is_there:
        raise errors.CorruptData(f"data: {sources[0]} does not exist; write it again, or delete its block")
    return f"{sources[0]} is there"
