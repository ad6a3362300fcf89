"""Set-up of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import apiserver as api
from tests.kubernetes.apiserver import ApiServer

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
NAMESPACES = ("ns", "elsewhere", "privatekube-system")

# Workers run side by side: threads of their own would only wait for each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the commands they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with this project's kinds; tests that need it are skipped, and say why, where it cannot be."""
    found = api.binaries()
    if isinstance(found, str):
        pytest.skip(found)
    server = ApiServer(tmp_path_factory.mktemp("apiserver"), found)
    server.start()
    try:
        server.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "base"))
        server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for namespace in NAMESPACES:
            server.kubectl("create", "namespace", namespace)
        for role in api.ROLES:
            server.kubectl("create", "clusterrolebinding", role, f"--clusterrole=privatekube-{role}", f"--user={role}")
        server.kubectl("apply", "-f", str(Path(__file__).parent / "data" / "controller-binding.yaml"))
        yield server
    finally:
        server.stop()
