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
from typing import Any

import pytest
from kubernetes import client

from privatekube.resources import meta
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE
from tests import waiting

ROLES = ("viewer", "claimant", "data-owner", "administrator", "approver", "controller")
"""A user of each name has the ClusterRole privatekube-NAME; the user `nobody` has none, `admin` may do everything."""
RIVAL, MEDDLER = "rival", "meddler"
"""Another claimant; and a user whose own role may write and delete everything but status."""
ADMIN = "admin"
USERS_NAMESPACE = "privatekube-tests"
"""The namespace of the users' service accounts."""
TEST_NAMESPACES = (SYSTEM_NAMESPACE, USERS_NAMESPACE)
_TOKEN_SECONDS = 4 * 3600
_DRY_RUN = ("create", "--dry-run=server", "-f", "-")
_VERBS = "get,list,watch,create,update,patch,delete,deletecollection"
_KINDS = (
    *("privatedatablocks", "privacybudgetclaims", "privacybudgetquotas", "privacybudgetapprovals"),
    *("privacyledgerentries", "retiredprivatedata", "dataidentities"),
)


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

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Pause the API server while the context is open."""
        pytest.skip("an existing cluster is not paused")

    def slowing_etcd(self) -> contextlib.AbstractContextManager[None]:
        """Pause etcd for half a second, again and again, while the context is open."""
        pytest.skip("an existing cluster is not slowed down")

    def install(self, manifests: Path, namespaces: Sequence[str]) -> None:
        """Install the resource definitions and roles, and create namespaces and users with their roles."""
        self.kubectl("apply", "--server-side", "-k", str(manifests / "base"))
        waiting.until_definitions_are_established(self.kubectl)
        for namespace in (*namespaces, *TEST_NAMESPACES):
            self.kubectl("create", "namespace", namespace)
        for user in (*ROLES, RIVAL, MEDDLER, "nobody"):
            self.add_user(user)
        for role in ROLES:
            self.bind(role)
        self.bind(RIVAL, "claimant")
        kinds = ",".join(f"{plural}.{meta.GROUP}" for plural in _KINDS)
        self.kubectl("create", "clusterrole", f"privatekube-{MEDDLER}", f"--verb={_VERBS}", f"--resource={kinds}")
        self.bind(MEDDLER)
        self.kubectl("apply", "-f", str(manifests / "controller" / "access.yaml"))
        account = f"--serviceaccount={USERS_NAMESPACE}:controller"
        binding = ("create", "rolebinding", USERS_NAMESPACE, "--role=privatekube-controller", account)
        self.kubectl(*binding, f"--namespace={SYSTEM_NAMESPACE}")
        self.wait_for_admission_policies()
        waiting.until(lambda: self.may("controller", "update", "leases.coordination.k8s.io", f"-n={SYSTEM_NAMESPACE}"))

    def wait_for_admission_policies(self) -> None:
        """Wait until the API server applies the admission policies: it takes them over together, within seconds."""
        waiting.until(lambda: self._refuses_forged_records() and self.records_creators())

    def records_creators(self) -> bool:
        """Whether a claim whose author names no creator is accepted, and then has the name of its creator."""
        claim = _probe("PrivacyBudgetClaim", {}, namespace=TEST_NAMESPACES[0])
        try:
            created = self.kubectl(*_DRY_RUN, "-o", "json", user="claimant", stdin=claim)
        except AssertionError:
            return False
        document = json.loads(created)
        return "annotations" in document["metadata"] and "requestedBy" in document["spec"]

    def add_user(self, user: str, *, namespace: str = USERS_NAMESPACE) -> None:
        """Create a service account of that name, by whose token `user` is known from then on."""
        self.kubectl("create", "serviceaccount", user, "-n", namespace)
        token = self.kubectl("create", "token", user, "-n", namespace, f"--duration={_TOKEN_SECONDS}s")
        self.tokens[user] = token.strip()

    def bind(self, user: str, role: str | None = None) -> None:
        """Give a user the ClusterRole privatekube-`role`, by default that of the same name."""
        account, named = f"--serviceaccount={USERS_NAMESPACE}:{user}", f"--clusterrole=privatekube-{role or user}"
        self.kubectl("create", "clusterrolebinding", _binding(user), named, account)

    def unbind(self, user: str) -> None:
        """Take that role away from the user."""
        self.kubectl("delete", "clusterrolebinding", _binding(user), "--ignore-not-found")

    def may(self, user: str, verb: str, plural: str, where: str = "--all-namespaces") -> bool:
        """Whether a user may do that by now: the server takes a binding over some time after it was written."""
        try:
            return "yes" in self.kubectl("auth", "can-i", verb, plural, where, user=user)
        except AssertionError:
            return False

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

    def _refuses_forged_records(self) -> bool:
        held: dict[str, Any] = {"blockId": "ns/b", "initialBudget": {}, "committedBudgetMap": {}}
        record = _probe("RetiredPrivateData", {"dataset": "d", "digest": "1", "record": held})
        try:
            self.kubectl(*_DRY_RUN, user=MEDDLER, stdin=record)
        except AssertionError as error:
            return "denied request" in str(error)
        return False


def _probe(kind: str, spec: dict[str, Any], **metadata: str) -> str:
    """Return an object that nobody keeps."""
    document = {"apiVersion": meta.API_VERSION, "kind": kind, "metadata": {"name": "probe", **metadata}, "spec": spec}
    return json.dumps(document)


def _binding(user: str) -> str:
    return f"{USERS_NAMESPACE}-{user}"
