"""Asking an API server as one of several users, whoever started it; see `ownserver` and `namedserver`."""

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
"""Where the users' service accounts are."""
OWN_NAMESPACES = (SYSTEM_NAMESPACE, USERS_NAMESPACE)
_TOKEN_SECONDS = 4 * 3600


@dataclass
class ApiServer(abc.ABC):
    """An API server and the users it knows, each with a token of its own.

    Args:
        folder: for the users' kubeconfigs.
        kubectl_program: of the server's version.
    """

    folder: Path
    kubectl_program: str | Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where it listens."""

    @property
    @abc.abstractmethod
    def certificate(self) -> Path:
        """What its certificate is checked with."""

    def restart(self) -> None:
        """Stop the API server alone, and start it again with what etcd has."""
        pytest.skip("nobody restarts a cluster that is not the tests' own")

    def slow_etcd(self) -> contextlib.AbstractContextManager[None]:
        """etcd stands still for half a second, again and again, for as long as the context is open."""
        pytest.skip("nobody slows a cluster down that is not the tests' own")

    def install(self, manifests: Path, namespaces: Sequence[str]) -> None:
        """Install this project's kinds and roles, make namespaces, and users with their roles."""
        self.kubectl("apply", "--server-side", "-k", str(manifests / "base"))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for namespace in (*namespaces, *OWN_NAMESPACES):
            self.kubectl("create", "namespace", namespace)
        for user in (*ROLES, "nobody"):
            self.tokens[user] = self._made(user)
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
        """Take it away again."""
        self.kubectl("delete", "clusterrolebinding", _binding(user), "--ignore-not-found")

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str | None = None, status: int = 0) -> str:
        """Run kubectl as a user, check its exit status, and return what it wrote."""
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
        """A connection of the official client as a user."""
        configuration = client.Configuration(host=self.url)
        configuration.ssl_ca_cert = str(self.certificate)
        configuration.api_key = {"authorization": f"Bearer {self._token(user)}"}
        return client.ApiClient(configuration)

    def kubeconfig(self, user: str) -> Path:
        """A kubeconfig of a user."""
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
        return self.tokens.get(user, "of-nobody-known")

    def _made(self, user: str) -> str:
        """A service account for a user, and its token."""
        self.kubectl("create", "serviceaccount", user, "-n", USERS_NAMESPACE)
        return self.kubectl("create", "token", user, "-n", USERS_NAMESPACE, f"--duration={_TOKEN_SECONDS}s").strip()


def _binding(user: str) -> str:
    return f"{USERS_NAMESPACE}-{user}"
