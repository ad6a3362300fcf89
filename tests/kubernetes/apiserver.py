"""A real API server for tests: etcd and kube-apiserver on loopback, with RBAC and a token per user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from kubernetes import client

from privatekube.store.kubernetes import SYSTEM_NAMESPACE
from tests.kubernetes import processes

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools" / "kubernetes"
ROLES = ("viewer", "claimant", "data-owner", "controller")
"""A user of each name has the ClusterRole privatekube-NAME; the user nobody has none."""
_BINARIES = ("etcd", "kube-apiserver", "kubectl")
_READY_SECONDS, _STOP_SECONDS, _LONGEST_SECONDS = 60, 10, 7200


def binaries() -> Path | str:
    """Where the binaries are, or why there are none: KUBEBUILDER_ASSETS, or what tools/kubernetes/build.sh built."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named:
        missing = [each for each in _BINARIES if not (Path(named) / each).exists()]
        return f"KUBEBUILDER_ASSETS: {named} lacks {', '.join(missing)}" if missing else Path(named)
    if not shutil.which("go") and not _is_built():
        return "no Kubernetes binaries: install Go and run make test-kubernetes, or set KUBEBUILDER_ASSETS"
    if not _is_built():
        return "no Kubernetes binaries: run make test-kubernetes, which builds them once, or set KUBEBUILDER_ASSETS"
    return Path(_build("--where"))


def _is_built() -> bool:
    return (Path(_build("--where")) / "complete").exists()


def _build(*options: str) -> str:
    done = subprocess.run([TOOLS / "build.sh", *options], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class ApiServer:
    """One API server, stopped by its own process id.

    Args:
        folder: its own, for keys, certificates, data and logs.
        binaries: where etcd and kube-apiserver are.

    A user's token is its name with `-token` after it; `admin` may do everything.
    """

    folder: Path
    binaries: Path
    port: int = 0
    etcd_port: int = 0
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start both, and wait until the API server is ready."""
        self.port, self.etcd_port, peers = (_free_port() for _ in range(3))
        lines = [
            'admin-token,admin,admin,"system:masters"',
            *(f"{user}-token,{user},{user}" for user in (*ROLES, "nobody")),
        ]
        tokens = self.folder / "tokens.csv"
        tokens.write_text("\n".join(lines) + "\n")
        tokens.chmod(0o600)
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self._run(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-cluster=default=http://127.0.0.1:{peers}",
            "--unsafe-no-fsync",
        )
        self._start_api_server()

    def _start_api_server(self) -> None:
        key = self.folder / "sa.key"
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={self.folder}/certificates",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            "--disable-admission-plugins=ServiceAccount",
        )
        self._wait()

    def stop(self) -> None:
        """Stop both: the API server first, while it can still say so to etcd."""
        for process in reversed(self._processes):
            processes.end(process, seconds=_STOP_SECONDS)
        self._processes.clear()

    def install(self, manifests: Path, namespaces: Sequence[str]) -> None:
        """Install this project's kinds and roles, make namespaces, and bind each user to its role."""
        self.kubectl("apply", "--server-side", "-k", str(manifests / "base"))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for namespace in (*namespaces, SYSTEM_NAMESPACE):
            self.kubectl("create", "namespace", namespace)
        for role in ROLES:
            self.kubectl("create", "clusterrolebinding", role, f"--clusterrole=privatekube-{role}", f"--user={role}")
        self.kubectl("apply", "-f", str(manifests / "controller" / "access.yaml"))
        binding = ("create", "rolebinding", "controller-user", "--role=privatekube-controller", "--user=controller")
        self.kubectl(*binding, f"--namespace={SYSTEM_NAMESPACE}")

    def restart(self) -> None:
        """Stop the API server alone, and start it again with what etcd has."""
        processes.end(self._processes.pop(), seconds=2)  # it would wait a minute for watches to end by themselves
        self._start_api_server()

    def slow_etcd(self) -> contextlib.AbstractContextManager[None]:
        """etcd stands still for half a second, again and again, for as long as the context is open."""
        return processes.standing_still(self._processes[0])

    def kubectl(self, *arguments: str, user: str = "admin", stdin: str | None = None, status: int = 0) -> str:
        """Run kubectl as a user, check its exit status, and return what it wrote."""
        connection = [f"--server={self.url}", f"--certificate-authority={self.certificate}", f"--token={user}-token"]
        done = subprocess.run(
            [self.binaries / "kubectl", *connection, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": "/dev/null"},
        )
        assert done.returncode == status, f"kubectl {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def api(self, user: str = "admin") -> client.ApiClient:
        """A connection of the official client as a user."""
        configuration = client.Configuration(host=self.url)
        configuration.ssl_ca_cert = str(self.certificate)
        configuration.api_key = {"authorization": f"Bearer {user}-token"}
        return client.ApiClient(configuration)

    def kubeconfig(self, user: str) -> Path:
        """A kubeconfig of a user."""
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": f"{user}-token"}}],
            "contexts": [{"name": user, "context": {"cluster": "test", "user": user}}],
            "current-context": user,
        }
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        return path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """The certificate that it signed for itself."""
        return self.folder / "certificates" / "apiserver.crt"

    def _run(self, name: str, *options: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            bounded: list[str | Path] = [
                "timeout",
                f"--kill-after={_STOP_SECONDS}",
                str(_LONGEST_SECONDS),
                self.binaries / name,
            ]
            process = subprocess.Popen([*bounded, *options], stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            ended = [process.pid for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = [(self.folder / f"{name}.log").read_text()[-2000:] for name in ("etcd", "kube-apiserver")]
                self.stop()
                raise RuntimeError("the API server did not start\n" + "\n".join(logs))
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        if not self.certificate.exists():
            return False
        with contextlib.closing(self.api()) as api:
            try:
                _, status, _ = api.call_api("/readyz", "GET", auth_settings=["BearerToken"], _request_timeout=5)
            except (client.ApiException, urllib3.exceptions.HTTPError):
                return False
            return bool(status == 200)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
