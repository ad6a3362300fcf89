"""A real Kubernetes node that runs pods: one in its own network namespace, or a cluster that the environment names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes import client

from privatekube.store.kubernetes import login
from tests.node import images, network

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools" / "kubernetes" / "node"
KUBECONFIG, REGISTRY = "PRIVATEKUBE_TEST_KUBECONFIG", "PRIVATEKUBE_TEST_REGISTRY"
ADDRESS = "10.244.0.1:5000"
"""Address of the node's own registry."""
_LONGEST_SECONDS, _COMMAND_SECONDS, _REQUEST_SECONDS = 7200, 300, 60
Json = dict[str, Any]


@dataclass(frozen=True)
class Node:
    """A node that runs pods.

    Args:
        kubectl_program: kubectl of the cluster's version.
        kubeconfig: kubeconfig of the administrator.
        registry: registry that images are pushed to and that pods pull from.
        network: its network namespace; None if it can be reached without entering one.
        variables: further environment variables of the commands.
    """

    kubectl_program: str
    kubeconfig: Path
    registry: str
    network: Path | None
    variables: Mapping[str, str] = field(default_factory=dict)

    def kubectl(self, *arguments: str, stdin: str | None = None, status: int = 0) -> str:
        """Run kubectl as the administrator, check its exit status, and return its output."""
        return self._run(self.kubectl_program, *arguments, stdin=stdin, status=status)

    def privatekube(self, *arguments: str) -> str:
        """Run the command line of the project as the administrator, and return its output."""
        return self._run(str(Path(sys.executable).parent / "privatekube"), *arguments)

    def script(self, name: str, *arguments: str) -> str:
        """Run a script of the project as the administrator, and return its output."""
        return self._run(sys.executable, str(images.ROOT / name), *arguments)

    def _run(self, program: str, *arguments: str, stdin: str | None = None, status: int = 0) -> str:
        process = subprocess.run(
            [*self.enter, program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "PRIVATEKUBE_STORE": "kubernetes", **self.variables},
        )
        assert process.returncode == status, (
            f"{program} {arguments}: {process.returncode}\n{process.stdout}\n{process.stderr}"
        )
        return process.stdout if status == 0 else process.stdout + process.stderr

    @property
    def address(self) -> str:
        """The address of this machine in the network of the pods."""
        return self.registry.partition(":")[0]

    @property
    def loopback_registry(self) -> str:
        """The address of the registry in its own network, where a push without TLS is accepted."""
        return self.registry if self.network is None else f"localhost:{self.registry.partition(':')[2]}"

    @property
    def enter(self) -> tuple[str, ...]:
        """Prefix of a command that must reach the registry, the API server and the pods."""
        return () if self.network is None else ("nsenter", f"--net={self.network}")

    def enter_network(self) -> AbstractContextManager[None]:
        """Return a context in which this thread is in the node's network."""
        return network.enter(self.network)

    def api(self) -> client.ApiClient:
        """Connect the official client as the administrator; call it within `enter_network`."""
        return login.log_in(kubeconfig=self.kubeconfig)

    def apply(self, *documents: Json) -> None:
        """Create or change objects."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def read(self, kind: str, name: str, namespace: str) -> Json:
        """Read one object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json")))

    def find_pod(self, name: str, namespace: str) -> Json | None:
        """Read a pod, without a process, as tests do that wait for it; None if there is none."""
        with self.enter_network():
            try:
                pod = self._core.read_namespaced_pod(name, namespace, _request_timeout=_REQUEST_SECONDS)
            except client.ApiException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                raise
        return dict(self._core.api_client.sanitize_for_serialization(pod))

    @cached_property
    def _core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api())

    def list_objects(self, kind: str, namespace: str, selector: str = "") -> list[Json]:
        """List the objects of a namespace that have the labels."""
        output = self.kubectl("get", kind, "-n", namespace, f"--selector={selector}", "-o", "json")
        return list(json.loads(output)["items"])

    def push(self, image: str, name: str) -> str:
        """Push an image of Podman's store as `name`, and return the reference by digest that pods pull."""
        return images.push(image, f"{self.registry}/{name}", enter=self.enter)


def why_absent() -> str | None:
    """Return why no node can be started here; None if one can."""
    if os.environ.get(KUBECONFIG):
        return None if os.environ.get(REGISTRY) else f"{KUBECONFIG} is set, but not {REGISTRY}, to pull from"
    if os.geteuid() != 0:
        return f"a node needs root; or name a cluster in {KUBECONFIG} and its registry in {REGISTRY}"
    missing = subprocess.run([TOOLS / "install.sh", "--missing"], capture_output=True, text=True, check=False)
    if missing.returncode:
        return missing.stderr.strip()
    return None if (binaries() / "complete").exists() else "the node's programs are not built: run make node-tools"


def binaries() -> Path:
    """Return the folder of the programs that build.sh built."""
    process = subprocess.run([TOOLS / "build.sh", "--where"], capture_output=True, text=True, check=True)
    return Path(process.stdout.strip())


@contextmanager
def start(folder: Path) -> Iterator[Node]:
    """Yield the cluster that the environment names, or a node that is started in `folder` and stopped at the end."""
    kubeconfig = os.environ.get(KUBECONFIG)
    if kubeconfig:
        yield Node("kubectl", Path(kubeconfig), os.environ[REGISTRY], None)
        return
    up: list[str | Path] = [TOOLS / "up.sh", folder, str(_LONGEST_SECONDS)]
    process = subprocess.run(up, stdout=subprocess.PIPE, text=True, check=True, timeout=_COMMAND_SECONDS)
    try:
        administrator = folder / "pki" / "admin.kubeconfig"
        yield Node(str(binaries() / "kubectl"), administrator, ADDRESS, Path("/run/netns") / process.stdout.strip())
    finally:
        subprocess.run([TOOLS / "down.sh", folder, "--keep-logs"], check=True, timeout=_COMMAND_SECONDS)
