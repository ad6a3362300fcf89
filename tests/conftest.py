"""Set up all tests."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.kubernetes import existing_cluster, local_server
from tests.kubernetes.apiserver import ApiServer

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
NAMESPACES = ("ns", "elsewhere", "privacy-example", "my-team", "privatekube-pipelines")

# Loaded before any test is collected, so that it applies to all. No deadline: it would measure the load of the machine.
# `quick` tries the same examples each time, so that a change is red for what it changed; `nightly` looks for new ones.
hypothesis.settings.register_profile("quick", stateful_step_count=30, deadline=None, derandomize=True)
hypothesis.settings.register_profile("nightly", max_examples=2000, stateful_step_count=50, deadline=None)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
hypothesis.settings.load_profile(PROFILE)

# Workers run in parallel: more threads would only compete for the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background makes them, and the commands that they start, ignore Ctrl-C; nohup
# makes them ignore that the terminal was closed.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


UNIT_TEST_SECONDS = 2.0
SHARED_CORE = 2.0
"""How much longer a processor takes per instruction while its other thread is busy, at worst."""
LONG_MARKS = ("slow", "gpu", "kubernetes", "containers", "node")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a unit test that uses more than two seconds of processor time on a core that it shares with other tests.

    With the examples of another profile than the quick one, a property may take as long as it takes.
    """
    began = _processor_seconds()
    result = yield
    used = _processor_seconds() - began
    is_unit_test = PROFILE == "quick" and not any(item.get_closest_marker(mark) for mark in LONG_MARKS)
    if is_unit_test and used > UNIT_TEST_SECONDS * SHARED_CORE:
        bound = f"must use at most {UNIT_TEST_SECONDS:g} s of processor time"
        pytest.fail(f"{item.name}: used {used:.1f} s, {bound}; make it cheaper or mark it slow")
    return result


def _processor_seconds() -> float:
    """Processor time of this process and of the children that it has waited for."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Yield a real API server with the kinds of this project, or skip the test with the reason why none can start."""
    folder = tmp_path_factory.mktemp("apiserver")
    start = existing_cluster.serving if os.environ.get(existing_cluster.KUBECONFIG) else local_server.serving
    with start(folder, MANIFESTS, NAMESPACES) as server:
        if isinstance(server, str):
            pytest.skip(server)
        yield server
