"""A ready cluster that the environment names, for tests that need an API server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernetes import client

from privatekube.resources import meta
from privatekube.store.kubernetes import login
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ADMIN, OWN_NAMESPACES, ROLES, ApiServer

KUBECONFIG = "PRIVATEKUBE_TEST_KUBECONFIG"


@dataclass
class NamedServer(ApiServer):
    """See `ApiServer`; the administrator is whoever the kubeconfig says.

    Args:
        administrator: the kubeconfig.
        address: where it listens.
        authority: what its certificate is checked with.
    """

    administrator: Path = Path()
    address: str = ""
    authority: Path = Path()

    @classmethod
    def of(cls, folder: Path, administrator: Path) -> NamedServer:
        """The cluster of a kubeconfig's current context."""
        with contextlib.closing(login.log_in(kubeconfig=administrator)) as api:
            found = api.configuration
            return cls(folder, "kubectl", {}, administrator, found.host, Path(found.ssl_ca_cert))

    @property
    def url(self) -> str:
        """See the base class."""
        return self.address

    @property
    def certificate(self) -> Path:
        """See the base class."""
        return self.authority

    def api(self, user: str = ADMIN) -> client.ApiClient:
        """See the base class."""
        return super().api(user) if user != ADMIN else login.log_in(kubeconfig=self.administrator)

    def kubeconfig(self, user: str) -> Path:
        """See the base class."""
        return super().kubeconfig(user) if user != ADMIN else self.administrator

    def why_not(self, namespaces: Sequence[str], workers: int) -> str | None:
        """Why the tests cannot have it, or None: they delete what is in these namespaces, and all blocks and claims."""
        if workers > 1:
            return f"{KUBECONFIG} names one cluster, and {workers} workers would share it: add WORKERS=1"
        if f".{meta.GROUP}" in self.kubectl("get", "crd", "-o", "name"):
            return f"{KUBECONFIG} names a cluster that has privacy budgets: the tests would delete them; name another"
        there = {name.rpartition("/")[2] for name in self.kubectl("get", "namespaces", "-o", "name").split()}
        taken = sorted(there.intersection((*namespaces, *OWN_NAMESPACES)))
        return f"{KUBECONFIG} names a cluster with namespace {taken[0]}, which the tests need" if taken else None

    def uninstall(self, manifests: Path, namespaces: Sequence[str]) -> None:
        """Remove what `install` and the tests made."""
        stores.emptied(self)
        gone = ("--ignore-not-found", "--wait=false")
        self.kubectl("delete", "-k", str(manifests / "base"), *gone)
        for role in ROLES:
            self.unbind(role)
        self.kubectl("delete", "clusterrolebinding", "privatekube-controller", *gone)
        self.kubectl("delete", "namespace", *namespaces, *OWN_NAMESPACES, *gone)

    def _connection(self, user: str) -> list[str]:
        return super()._connection(user) if user != ADMIN else [f"--kubeconfig={self.administrator}"]


@contextlib.contextmanager
def serving(folder: Path, manifests: Path, namespaces: Sequence[str]) -> Iterator[ApiServer | str]:
    """The cluster that the environment names, for as long as the context is open; or why it cannot serve."""
    server = NamedServer.of(folder, Path(os.environ[KUBECONFIG]))
    reason = server.why_not(namespaces, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    if reason:
        yield reason
        return
    try:
        server.install(manifests, namespaces)
        yield server
    finally:
        server.uninstall(manifests, namespaces)
