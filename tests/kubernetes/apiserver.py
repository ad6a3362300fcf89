"""An API server and its users; `local_server` starts one, `existing_cluster` uses one that is running."""

from __future__ import annotations

import abc
import contextlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kubernetes import client

from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE

ROLES = ("viewer", "claimant", "data-owner", "controller")
"""A user of each name has the ClusterRole privatekube-NAME; the user `nobody` has none, `admin` may do everything."""
ADMIN = "admin"
USERS_NAMESPACE = "privatekube-tests"
"""The namespace of the users' service accounts."""
TEST_NAMESPACES = (SYSTEM_NAMESPACE, USERS_NAMESPACE)
_TOKEN_SECONDS = 4 * 3600


@dataclass
class ApiServer(abc.ABC):
    """An API server and its users, each with a token.

    Args:
        folder: for the kubeconfigs of the users.
        kubectl_program: kubectl of the server's version.
    """

    folder: Path
    kubectl_program: str | Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The URL that it listens on."""

    @property
    @abc.abstractmethod
    def certificate(self) -> Path:
        """The certificate authority that its certificate is checked with."""

    def restart(self) -> None:
        """Stop the API server but not etcd, and start it again."""
        pytest.skip("an existing cluster is not restarted")

    def slowing_etcd(self) -> contextlib.AbstractContextManager[None]:
        """Pause etcd for half a second, again and again, while the context is open."""
        pytest.skip("an existing cluster is not slowed down")

    def install(self, manifests: Path, namespaces: Sequence[str]) -> None:
        """Install the resource definitions and roles, and create namespaces and users with their roles."""
        self.kubectl("apply", "--server-side", "-k", str(manifests / "base"))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for namespace in (*namespaces, *TEST_NAMESPACES):
            self.kubectl("create", "namespace", namespace)
        for user in (*ROLES, "nobody"):
            self.tokens[user] = self._create_user(user)
        for role in ROLES:
            self.bind(role)
        self.kubectl("apply", "-f", str(manifests / "controller" / "access.yaml"))
        account = f"--serviceaccount={USERS_NAMESPACE}:controller"
        binding = ("create", "rolebinding", USERS_NAMESPACE, "--role=privatekube-controller", account)
        self.kubectl(*binding, f"--namespace={SYSTEM_NAMESPACE}")

    def bind(self, user: str) -> None:
        """Give a user the role of the same name."""
        account = f"--serviceaccount={USERS_NAMESPACE}:{user}"
        self.kubectl("create", "clusterrolebinding", _binding(user), f"--clusterrole=privatekube-{user}", account)

    def unbind(self, user: str) -> None:
        """Take that role away from the user."""
        self.kubectl("delete", "clusterrolebinding", _binding(user), "--ignore-not-found")

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str | None = None, status: int = 0) -> str:
        """Run kubectl as a user, check its exit status, and return its output."""
        done = subprocess.run(
            [self.kubectl_program, *self._connection(user), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": "/dev/null"},
        )
        assert done.returncode == status, f"kubectl {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def api(self, user: str = ADMIN) -> client.ApiClient:
        """Return a connection of the official client as a user."""
        configuration = client.Configuration(host=self.url)
        configuration.ssl_ca_cert = str(self.certificate)
        configuration.api_key = {"authorization": f"Bearer {self._token(user)}"}
        return client.ApiClient(configuration)

    def kubeconfig(self, user: str) -> Path:
        """Write a kubeconfig of a user, and return its path."""
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self._token(user)}}],
            "contexts": [{"name": user, "context": {"cluster": "test", "user": user}}],
            "current-context": user,
        }
        path = self.folder / f"{user}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path

    def _connection(self, user: str) -> list[str]:
        return [
            f"--server={self.url}",
            f"--certificate-authority={self.certificate}",
            f"--token={self._token(user)}",
        ]

    def _token(self, user: str) -> str:
        return self.tokens.get(user, "unknown-token")

    def _create_user(self, user: str) -> str:
        """Create a service account for a user, and return its token."""
        self.kubectl("create", "serviceaccount", user, "-n", USERS_NAMESPACE)
        return self.kubectl("create", "token", user, "-n", USERS_NAMESPACE, f"--duration={_TOKEN_SECONDS}s").strip()


def _binding(user: str) -> str:
    return f"{USERS_NAMESPACE}-{user}"
