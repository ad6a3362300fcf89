"""Set up all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.kubernetes import existing_cluster, local_server
from tests.kubernetes.apiserver import ApiServer
from tests.processor_time import pytest_runtest_call, pytest_terminal_summary

__all__ = ["apiserver", "pytest_runtest_call", "pytest_terminal_summary"]

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
NAMESPACES = ("ns", "elsewhere", "privacy-example", "my-team", "privatekube-pipelines")

# Loaded before any test is collected, so that it applies to all. No deadline: it would measure the load of the machine.
# `quick` tries the same examples each time, so that a change is red for what it changed; `nightly` looks for new ones.
hypothesis.settings.register_profile("quick", stateful_step_count=30, deadline=None, derandomize=True)
hypothesis.settings.register_profile("nightly", max_examples=2000, stateful_step_count=50, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Workers run in parallel: more threads would only compete for the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background makes them, and the commands that they start, ignore Ctrl-C; nohup
# makes them ignore that the terminal was closed.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Yield a real API server with the kinds of this project, or skip the test with the reason why none can start."""
    folder = tmp_path_factory.mktemp("apiserver")
    start = existing_cluster.serving if os.environ.get(existing_cluster.KUBECONFIG) else local_server.serving
    with start(folder, MANIFESTS, NAMESPACES) as server:
        if isinstance(server, str):
            pytest.skip(server)
        yield server
