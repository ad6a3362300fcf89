"""A ready cluster in place of the tests' own: used by its kubeconfig alone, and never one that anybody needs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.conftest import MANIFESTS
from tests.kubernetes import namedserver, ownserver, stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.namedserver import NamedServer
from tests.kubernetes.ownserver import OwnServer

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    """A cluster with nothing on it, named in the environment."""
    programs = ownserver.binaries()
    if isinstance(programs, str):
        pytest.skip(programs)
    server = OwnServer.of(tmp_path, programs)
    server.start()
    monkeypatch.setenv(namedserver.KUBECONFIG, str(server.kubeconfig("admin")))
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    try:
        yield server
    finally:
        server.stop()


def served(folder: Path) -> contextlib.AbstractContextManager[ApiServer | str]:
    return namedserver.serving(folder, MANIFESTS, ["ns"])


def test_a_named_cluster_serves_with_users_of_its_own_and_keeps_no_budgets(ready: OwnServer, tmp_path: Path) -> None:
    with served(tmp_path) as named:
        assert isinstance(named, NamedServer)
        assert stores.emptied(named)().list_blocks() == []
        with contextlib.closing(Cluster(named.api("viewer"))) as viewing:
            assert viewing.listed("privatedatablocks") == []
        with contextlib.closing(Cluster(named.api("nobody"))) as nobody, pytest.raises(errors.NotServed):
            nobody.listed("privatedatablocks")
    assert "columbia" not in ready.kubectl("get", "crd,clusterroles", "-o", "name")


def test_a_named_cluster_that_somebody_uses_is_left_alone(
    ready: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
