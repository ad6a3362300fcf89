"""A running cluster that an environment variable names, for tests that need an API server."""

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
from tests.kubernetes.apiserver import ADMIN, MEDDLER, RIVAL, ROLES, TEST_NAMESPACES, ApiServer

KUBECONFIG = "PRIVATEKUBE_TEST_KUBECONFIG"


@dataclass
class ExistingCluster(ApiServer):
    """An API server whose administrator is the user of a kubeconfig.

    Args:
        administrator: the kubeconfig.
        address: the URL that it listens on.
        authority: the certificate authority that its certificate is checked with.
    """

    administrator: Path = Path()
    address: str = ""
    authority: Path = Path()

    @classmethod
    def of(cls, folder: Path, administrator: Path) -> ExistingCluster:
        """Return the cluster of a kubeconfig's current context."""
        with contextlib.closing(login.log_in(kubeconfig=administrator)) as api:
            configuration = api.configuration
            return cls(folder, "kubectl", {}, administrator, configuration.host, Path(configuration.ssl_ca_cert))

    @property
    def url(self) -> str:
        """The URL that it listens on."""
        return self.address

    @property
    def certificate(self) -> Path:
        """The certificate authority that its certificate is checked with."""
        return self.authority

    def api(self, user: str = ADMIN) -> client.ApiClient:
        """Return a connection of the official client as a user."""
        return super().api(user) if user != ADMIN else login.log_in(kubeconfig=self.administrator)

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a user."""
        return super().kubeconfig(user) if user != ADMIN else self.administrator

    def reason_against(self, namespaces: Sequence[str], workers: int) -> str | None:
        """Return why the tests must not use it, or None: they delete these namespaces, and all blocks and claims."""
        if workers > 1:
            return f"{KUBECONFIG} names one cluster, and {workers} workers would share it: add WORKERS=1"
        if f".{meta.GROUP}" in self.kubectl("get", "crd", "-o", "name"):
            return f"{KUBECONFIG} names a cluster that has privacy budgets: the tests would delete them; name another"
        existing = {name.rpartition("/")[2] for name in self.kubectl("get", "namespaces", "-o", "name").split()}
        taken = sorted(existing.intersection((*namespaces, *TEST_NAMESPACES)))
        return f"{KUBECONFIG} names a cluster with namespace {taken[0]}, which the tests need" if taken else None

    def uninstall(self, manifests: Path, namespaces: Sequence[str]) -> None:
        """Delete what `install` and the tests created."""
        stores.clear(self)
        options = ("--ignore-not-found", "--wait=false")
        self.kubectl("delete", "-k", str(manifests / "base"), *options)
        for user in (*ROLES, RIVAL, MEDDLER):
            self.unbind(user)
        self.kubectl("delete", "clusterrole", f"privatekube-{MEDDLER}", *options)
        self.kubectl("delete", "clusterrolebinding", "privatekube-controller", *options)
        self.kubectl("delete", "namespace", *namespaces, *TEST_NAMESPACES, *options)

    def _connection(self, user: str) -> list[str]:
        return super()._connection(user) if user != ADMIN else [f"--kubeconfig={self.administrator}"]


@contextlib.contextmanager
def serving(folder: Path, manifests: Path, namespaces: Sequence[str]) -> Iterator[ApiServer | str]:
    """Yield the cluster that the environment variable names, or the reason why the tests must not use it."""
    server = ExistingCluster.of(folder, Path(os.environ[KUBECONFIG]))
    reason = server.reason_against(namespaces, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    if reason:
        yield reason
        return
    try:
        server.install(manifests, namespaces)
        yield server
    finally:
        server.uninstall(manifests, namespaces)
