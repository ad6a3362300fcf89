"""Fixtures of tests with a controller: an empty store, and replicas that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privatekube.store.kubernetes.store import KubernetesStore
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.controllers import ControllerProcess

Starter = Callable[..., ControllerProcess]


@pytest.fixture
def store(apiserver: ApiServer) -> Iterator[KubernetesStore]:
    opened = stores.open_empty(apiserver)
    yield opened
    opened.close()


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
