"""A running cluster in place of a local server: reached by its kubeconfig, and refused if it has privacy budgets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.conftest import MANIFESTS
from tests.kubernetes import existing_cluster, local_server, stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.existing_cluster import ExistingCluster
from tests.kubernetes.local_server import LocalServer

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Start an empty cluster, and name it in the environment."""
    programs = local_server.binaries()
    if isinstance(programs, str):
        pytest.skip(programs)
    server = LocalServer.of(tmp_path, programs)
    server.start()
    monkeypatch.setenv(existing_cluster.KUBECONFIG, str(server.kubeconfig("admin")))
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    try:
        yield server
    finally:
        server.stop()


def served(folder: Path) -> contextlib.AbstractContextManager[ApiServer | str]:
    return existing_cluster.serving(folder, MANIFESTS, ["ns"])


def test_an_existing_cluster_gets_users_and_keeps_no_budgets(ready: LocalServer, tmp_path: Path) -> None:
    with served(tmp_path) as named:
        assert isinstance(named, ExistingCluster)
        assert stores.open_empty(named).list_blocks() == []
        with contextlib.closing(Cluster(named.api("viewer"))) as viewing:
            assert viewing.list_objects("privatedatablocks") == []
        with contextlib.closing(Cluster(named.api("nobody"))) as nobody, pytest.raises(errors.NotServed):
            nobody.list_objects("privatedatablocks")
    assert "columbia" not in ready.kubectl("get", "crd,clusterroles", "-o", "name")


def test_an_existing_cluster_with_budgets_is_not_touched(
    ready: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.kubectl("create", "namespace", "ns")
    with served(tmp_path) as reason:
        assert "with namespace ns" in str(reason)
    ready.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "base"))
    with served(tmp_path) as reason:
        assert "that has privacy budgets" in str(reason)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    with served(tmp_path) as reason:
        assert "add WORKERS=1" in str(reason)
    assert "privatedatablocks" in ready.kubectl("get", "crd", "-o", "name")
