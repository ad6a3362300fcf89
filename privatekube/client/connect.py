"""The control plane that PRIVATEKUBE_STORE names: a file on this machine, or a cluster."""

from __future__ import annotations

import os
from pathlib import Path

from privatekube import errors
from privatekube.client.embedded import BudgetClient, Outcome
from privatekube.store.sqlite.store import SqliteStore

__all__ = ["DEFAULT_STORE", "STORE", "BudgetClient", "Outcome", "claim_name", "connect"]

STORE = "PRIVATEKUBE_STORE"
DEFAULT_STORE = "sqlite:///.privatekube/state.db"
_FILE, _CLUSTER = "sqlite:///", "kubernetes"


def connect(uri: str | None = None) -> BudgetClient:
    """A client of the store that `uri`, or else PRIVATEKUBE_STORE, names; a context manager.

    `sqlite:///path/to/state.db`, `kubernetes` (the pod's service account, or the kubeconfig's current context), or
    `kubernetes://CONTEXT`.

    Raises:
        InvalidInput: no such kind of store, a file that cannot be one, or no cluster there.
    """
    named = uri or os.environ.get(STORE) or DEFAULT_STORE
    if named.startswith(_FILE) and named != _FILE:
        return BudgetClient(SqliteStore(Path(named.removeprefix(_FILE))))
    scheme, _, context = named.partition("://")
    if scheme != _CLUSTER:
        raise errors.invalid(STORE, named, "is no store", f"write {_FILE}path/to/state.db, or {_CLUSTER}")
    try:
        from privatekube.client import cluster  # noqa: PLC0415 - not every installation has the Kubernetes client
    except ImportError as error:
        remedy = "install it with pip install 'privatekube[cluster]'"
        raise errors.invalid(STORE, named, f"needs the package {error.name}", remedy) from error
    return cluster.connect(context or None)


def claim_name(run_id: str) -> str:
    """The name of a run's claim: the same for every repetition of its steps."""
    return f"run-{run_id}"
