"""Connect to the control plane that PRIVATEKUBE_STORE names: a file on this machine, or a cluster.

A store is imported only when it is used: not every installation has the packages of both.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from privatekube import errors, validation
from privatekube.storage import private_files

if TYPE_CHECKING:
    from privatekube.client.client import BudgetClient

STORE = "PRIVATEKUBE_STORE"
"""The environment variable that names the store."""
_FILE, _CLUSTER = "sqlite:///", "kubernetes"
DEFAULT_STORE = f"{_FILE}{private_files.HOME}/state.db"


def connect(uri: str | None = None) -> BudgetClient:
    """Return a client of a control plane, which is a context manager that closes the connection.

    Args:
        uri: `sqlite:///path/to/state.db`, `kubernetes` (the service account of this pod, or the current context of
            the kubeconfig), or `kubernetes://CONTEXT`. Default: the value of PRIVATEKUBE_STORE, or else the file
            `.privatekube/state.db`.

    Raises:
        InvalidInput: the kind of store is unknown, the file cannot be a store, or the cluster does not exist.
        MissingExtra: the store needs a package that is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, connect(f"sqlite:///{folder}/state.db") as client:
        ...     client.list_blocks()
        []
    """
    name = store_name() if uri is None else uri
    require_store(name, source=STORE if uri is None else "store")
    scheme, _, context = name.partition("://")
    with errors.naming_extra("cluster" if scheme == _CLUSTER else None):
        if scheme == _CLUSTER:
            return _connect_to_cluster(context or None)
        return _connect_to_file(Path(name.removeprefix(_FILE)))


def require_store(uri: str, *, source: str) -> None:
    """Check that `uri` names a kind of store that exists; `source` is the option or variable that it is from.

    Raises:
        InvalidInput: it does not.
    """
    validation.require_type(source, uri, str)
    if uri.partition("://")[0] != _CLUSTER and uri.removeprefix(_FILE) in ("", uri):
        raise errors.invalid(source, uri, "is not a store", f"write {_FILE}path/to/state.db, or {_CLUSTER}")


def require_existing_store() -> None:
    """Check that there is a store, for those that only read: `connect` creates a file that is missing.

    Raises:
        NotFound: it is a file that does not exist.
    """
    name = store_name()
    path = Path(name.removeprefix(_FILE))
    if name.startswith(_FILE) and not path.exists():
        raise errors.NotFound(f"store: {path} does not exist; name another with --store")


def connect_to_read() -> BudgetClient:
    """Return a client of the control plane that PRIVATEKUBE_STORE names, which must exist; a file is not written to.

    In a cluster, the role of the user decides what may be written.

    Raises:
        NotFound: the store is a file that does not exist.
        InvalidInput: see `connect`.
        MissingExtra: see `connect`.
    """
    require_existing_store()
    client = connect()
    if not is_cluster():
        from privatekube.store.sqlite.store import SqliteStore  # noqa: PLC0415 - see the module's docstring

        assert isinstance(client.store, SqliteStore)  # noqa: S101 - the other kind of store
        client.clock.now_ms()  # the first reading after a start of the machine is recorded in the file
        client.store.forbid_writes()
    return client


def store_name() -> str:
    """Return the URI of the store that `connect` opens by default."""
    return os.environ.get(STORE) or DEFAULT_STORE


def is_cluster() -> bool:
    """Whether PRIVATEKUBE_STORE names a cluster, whose pods see no folder of this machine."""
    return store_name().partition("://")[0] == _CLUSTER


def cluster_context() -> str | None:
    """Return the context of the kubeconfig that PRIVATEKUBE_STORE names; None for the current one."""
    scheme, _, context = store_name().partition("://")
    return (context or None) if scheme == _CLUSTER else None


def claim_name(run_id: str) -> str:
    """Return the name of a run's claim: the same for every repetition of its steps."""
    return f"run-{run_id}"


def _connect_to_file(path: Path) -> BudgetClient:
    from privatekube.client.client import BudgetClient  # noqa: PLC0415 - see the module's docstring
    from privatekube.store.sqlite.store import SqliteStore  # noqa: PLC0415

    store = SqliteStore(path)
    return BudgetClient(store, clock=store.clock)


def _connect_to_cluster(context: str | None) -> BudgetClient:
    from privatekube.client import cluster  # noqa: PLC0415 - see the module's docstring

    return cluster.connect(context)
