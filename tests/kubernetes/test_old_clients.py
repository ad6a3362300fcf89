"""Manifests like those in PrivateKube's examples, applied with kubectl: granted, consumed, listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
DATA = Path(__file__).resolve().parent.parent / "samples" / "privatekube"


@pytest.fixture
def plane(apiserver: ApiServer) -> Iterator[Plane]:
    store = stores.open_empty(apiserver)
    yield Plane(store, unlock="n=100")
    store.close()


@pytest.mark.parametrize(("kind", "number"), [("", 1), ("renyi-", 2)])
def test_an_example_is_granted_and_consumed(apiserver: ApiServer, plane: Plane, kind: str, number: int) -> None:
    apiserver.kubectl("apply", "-f", str(DATA / f"{kind}block.yaml"))
    apiserver.kubectl("apply", "-f", str(DATA / f"{kind}claim.yaml"), user="claimant")
    plane.run()
    claim, block = plane.claim(f"claim-{number}"), f"ns/block-{number}"
    assert plane.states(claim.meta.name) == ["success"]
    assert plane.status(f"block-{number}").acquired == {claim.id: claim.status.acquired[block]}
    consume = yaml.safe_load((DATA / f"{kind}consume.yaml").read_text())[0]
    patch = [{"op": "add", "path": "/spec/requests/-", "value": consume}]
    apiserver.kubectl(
        "patch", "pbc", claim.meta.name, "-n", "ns", "--type=json", "-p", json.dumps(patch), user="claimant"
    )
    plane.run()
    claim = plane.claim(claim.meta.name)
    assert plane.states(claim.meta.name) == ["success", "success"]
    assert not claim.status.acquired
    assert plane.status(f"block-{number}").committed == {claim.id: claim.status.committed[block]}
    plane.require_sound()


def test_kubectl_shows_both_kinds_by_their_short_names(apiserver: ApiServer, plane: Plane) -> None:
    apiserver.kubectl("apply", "-f", str(DATA / "block.yaml"), "-f", str(DATA / "claim.yaml"))
    plane.run()
    (header, row) = apiserver.kubectl("get", "pb", "-n", "ns", user="viewer").splitlines()
    assert header.split() == ["NAME", "DATASET", "LEFT", "COMMITTED", "WAITING", "AGE"]
    assert row.startswith("block-1   taxi      epsilon 4.99, delta 0.0001   0.0%        0")
    assert "block-1" in apiserver.kubectl("get", "pvdb", "-n", "ns", user="viewer")
    (header, row) = apiserver.kubectl("get", "pbc", "-n", "ns", user="viewer").splitlines()
    assert header.split() == ["NAME", "STATE", "DEMAND", "BLOCKS", "REASON", "AGE"]
    assert row.startswith("claim-1   acquired   epsilon 0.01, delta 1e-08   1")
    described = apiserver.kubectl("describe", "pb", "block-1", "-n", "ns", user="viewer")
    assert "Acquired Budget Map" in described
