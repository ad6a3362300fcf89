"""A real Kubernetes node that runs pods: one of its own, in a network namespace, or a ready cluster that is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client

from privatekube.store.kubernetes import login
from tests.node import images, network

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools" / "kubernetes" / "node"
KUBECONFIG, REGISTRY = "PRIVATEKUBE_TEST_KUBECONFIG", "PRIVATEKUBE_TEST_REGISTRY"
ADDRESS = "10.244.0.1:5000"
"""Of the node's own registry."""
_LONGEST_SECONDS, _COMMAND_SECONDS = 7200, 300
Json = dict[str, Any]


@dataclass(frozen=True)
class Node:
    """Where pods run.

    Args:
        kubectl_program: kubectl of the cluster's version.
        kubeconfig: of the administrator.
        registry: where images are pushed to, and pulled from by pods.
        network: its network namespace; None where it is reached as it is.
    """

    kubectl_program: str
    kubeconfig: Path
    registry: str
    network: Path | None

    def kubectl(self, *arguments: str, stdin: str | None = None, status: int = 0) -> str:
        """Run kubectl as the administrator, check its exit status, and return what it wrote."""
        return self._run(self.kubectl_program, *arguments, stdin=stdin, status=status)

    def privatekube(self, *arguments: str) -> str:
        """Run the command line of the project as the administrator, and return what it wrote."""
        return self._run(str(Path(sys.executable).parent / "privatekube"), *arguments)

    def script(self, name: str, *arguments: str) -> str:
        """Run a script of the project as the administrator, and return what it wrote."""
        return self._run(sys.executable, str(images.ROOT / name), *arguments)

    def _run(self, program: str, *arguments: str, stdin: str | None = None, status: int = 0) -> str:
        done = subprocess.run(
            [*self.enter, program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "PRIVATEKUBE_STORE": "kubernetes"},
        )
        assert done.returncode == status, f"{program} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if status == 0 else done.stdout + done.stderr

    @property
    def loopback_registry(self) -> str:
        """The registry as it is named in its own network, where a push without TLS is accepted."""
        return self.registry if self.network is None else f"localhost:{self.registry.partition(':')[2]}"

    @property
    def enter(self) -> tuple[str, ...]:
        """What goes before a command that shall see the registry, the API server and the pods."""
        return () if self.network is None else ("nsenter", f"--net={self.network}")

    def entered(self) -> AbstractContextManager[None]:
        """This thread where such a command is."""
        return network.entered(self.network)

    def api(self) -> client.ApiClient:
        """A connection of the official client as the administrator, for where `entered` is."""
        return login.log_in(kubeconfig=self.kubeconfig)

    def apply(self, *documents: Json) -> None:
        """Create or change objects."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def read(self, kind: str, name: str, namespace: str) -> Json:
        """One object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json")))

    def listed(self, kind: str, namespace: str, selector: str = "") -> list[Json]:
        """The objects of a namespace, those with the labels."""
        found = self.kubectl("get", kind, "-n", namespace, f"--selector={selector}", "-o", "json")
        return list(json.loads(found)["items"])

    def push(self, image: str, name: str) -> str:
        """Push an image of Podman's store as `name`; returns the reference by digest that pods pull."""
        return images.push(image, f"{self.registry}/{name}", enter=self.enter)


def why_absent() -> str | None:
    """Why there can be no node here, or None."""
    if os.environ.get(KUBECONFIG):
        return None if os.environ.get(REGISTRY) else f"{KUBECONFIG} is set, but not {REGISTRY}, to pull from"
    if os.geteuid() != 0:
        return f"a node needs root; or name a cluster in {KUBECONFIG} and its registry in {REGISTRY}"
    missing = subprocess.run([TOOLS / "install.sh", "--missing"], capture_output=True, text=True, check=False)
    if missing.returncode:
        return missing.stderr.strip()
    return None if (binaries() / "complete").exists() else "the node's programs are not built: run make node-tools"


def binaries() -> Path:
    """Where build.sh leaves the node's programs."""
    done = subprocess.run([TOOLS / "build.sh", "--where"], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@contextmanager
def running(folder: Path) -> Iterator[Node]:
    """The cluster that the environment names, or a node that is started in `folder` and stopped at the end."""
    named = os.environ.get(KUBECONFIG)
    if named:
        yield Node("kubectl", Path(named), os.environ[REGISTRY], None)
        return
    up: list[str | Path] = [TOOLS / "up.sh", folder, str(_LONGEST_SECONDS)]
    done = subprocess.run(up, stdout=subprocess.PIPE, text=True, check=True, timeout=_COMMAND_SECONDS)
    try:
        administrator = folder / "pki" / "admin.kubeconfig"
        yield Node(str(binaries() / "kubectl"), administrator, ADDRESS, Path("/run/netns") / done.stdout.strip())
    finally:
        subprocess.run([TOOLS / "down.sh", folder, "--keep-logs"], check=True, timeout=_COMMAND_SECONDS)
