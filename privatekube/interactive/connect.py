"""Connect to a control plane with a client whose runs claim, release and pay in one `with` statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from privatekube.client import connect as stores

if TYPE_CHECKING:
    from privatekube.interactive.client import RunClient


def connect(uri: str | None = None) -> RunClient:
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
    connected = stores.connect(uri)
    from privatekube.interactive.client import RunClient  # noqa: PLC0415 - `import privatekube` loads no store

    return RunClient(connected.store, connected.passes, clock=connected.clock)
