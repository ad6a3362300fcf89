"""An API server for the tests: etcd and kube-apiserver on loopback, with RBAC."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from privatekube.store.kubernetes import api_calls
from tests import ports
from tests.kubernetes import processes
from tests.kubernetes.apiserver import ADMIN, ApiServer

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools" / "kubernetes"
_BINARIES = ("etcd", "kube-apiserver", "kubectl")
_READY_SECONDS, _STOP_SECONDS, _LONGEST_SECONDS = 200, 2, 7200
"""An API server would wait a minute for its watches to end."""


def binaries() -> Path | str:
    """Return the folder of the binaries, KUBEBUILDER_ASSETS or the result of build.sh; or why there are none."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named:
        missing = [name for name in _BINARIES if not (Path(named) / name).exists()]
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
class LocalServer(ApiServer):
    """An API server and etcd as child processes; `folder` also holds keys, certificates, data and logs."""

    port: int = 0
    etcd_port: int = 0
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _reserved: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @classmethod
    def of(cls, folder: Path, programs: Path) -> LocalServer:
        """Return a server that is not started yet, of the binaries in the folder `programs`."""
        return cls(folder, programs / "kubectl", {ADMIN: "admin-token"})

    @property
    def url(self) -> str:
        """The URL that it listens on."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """Its self-signed certificate."""
        return self.folder / "certificates" / "apiserver.crt"

    def start(self) -> None:
        """Start both, and wait until the API server is ready."""
        self.port, self.etcd_port, peers = (self._reserved.enter_context(ports.reserved()) for _ in range(3))
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self.tokens[ADMIN]},{ADMIN},{ADMIN},"system:masters"\n')
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
        """Stop both: the API server first, while it can still reach etcd."""
        for process in reversed(self._processes):
            processes.stop(process, seconds=_STOP_SECONDS)
        self._processes.clear()
        self._reserved.close()

    def restart(self) -> None:
        """Stop the API server but not etcd, start it again, and wait until it applies its admission policies."""
        processes.stop(self._processes.pop(), seconds=_STOP_SECONDS)
        self._start_api_server()
        self.wait_for_admission_policies()

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Pause the API server while the context is open."""
        return processes.paused(self._processes[-1])

    def slowing_etcd(self) -> contextlib.AbstractContextManager[None]:
        """Pause etcd for half a second, again and again, while the context is open."""
        return processes.pausing(self._processes[0])

    def _run(self, name: str, *options: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            bounded: list[str | Path] = [
                "timeout",
                f"--kill-after={_STOP_SECONDS}",
                str(_LONGEST_SECONDS),
                Path(self.kubectl_program).parent / name,
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
            return api_calls.is_ready(api)


@contextlib.contextmanager
def serving(folder: Path, manifests: Path, namespaces: Sequence[str]) -> Iterator[ApiServer | str]:
    """Start a server and yield it, or yield the reason why it cannot be started."""
    programs = binaries()
    if isinstance(programs, str):
        yield programs
        return
    server = LocalServer.of(folder, programs)
    server.start()
    try:
        server.install(manifests, namespaces)
        yield server
    finally:
        server.stop()
