"""Fixtures of tests with a controller: an empty store, and replicas that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privatekube.resources.wire import claims
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders
from tests.kubernetes import attacks, stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.controllers import ControllerProcess
from tests.reconcile.harness import Plane

Starter = Callable[..., ControllerProcess]


@pytest.fixture
def store(apiserver: ApiServer) -> Iterator[KubernetesStore]:
    opened = stores.open_empty(apiserver)
    yield opened
    opened.close()


@pytest.fixture
def granted(apiserver: ApiServer, store: KubernetesStore) -> Plane:
    """Return a control plane with a block `b` and a claim `c` of the claimant, which was granted epsilon 0.1."""
    plane = Plane(store)
    store.create(builders.block())
    attacks.create(apiserver, claims.to_wire(builders.claim()), user="claimant")
    plane.run()
    assert plane.states("c") == ["success"]
    return plane


@pytest.fixture
def start(apiserver: ApiServer, store: KubernetesStore, tmp_path: Path) -> Iterator[Starter]:
    """Return a function that starts a replica by name, with options; the default is `--unlock all`."""
    started: list[ControllerProcess] = []

    def starting(name: str = "a", *options: str) -> ControllerProcess:
        started.append(ControllerProcess(apiserver, tmp_path, name, options or ("--unlock", "all")))
        return started[-1].start()

    yield starting
    for process in started:
        process.kill()
