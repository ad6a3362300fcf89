"""Kubeflow Pipelines and an issuer of tokens on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubeflow.servers.pipelines import Pipelines
from tests.kubeflow.servers.tokens import Issuer


@pytest.fixture
def pipelines() -> Iterator[Pipelines]:
    server = Pipelines()
    with server.serving():
        yield server


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    with server.serving():
        yield server
