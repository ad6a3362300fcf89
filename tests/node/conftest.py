"""The node that the tests here share, and the image that their pods run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.images import servers
from tests.node import deployment
from tests.node import node as nodes
from tests.node.deployment import Deployment
from tests.node.node import Node


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that runs pods; tests that need it are skipped with a reason if it cannot be started."""
    absent = nodes.why_absent()
    if absent:
        pytest.skip(absent)
    with nodes.start(tmp_path_factory.mktemp("node")) as started:
        yield started


@pytest.fixture(scope="session")
def base() -> str:
    """The base image in Podman's store."""
    return servers.make_base()


@pytest.fixture(scope="session")
def controller(node: Node, base: str, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The controller, deployed."""
    return deployment.deploy(node, base, tmp_path_factory.mktemp("deployment"))


@pytest.fixture(scope="session")
def python(node: Node, base: str) -> str:
    """A reference by digest to an image with python3, in the node's registry."""
    return node.push(base, "python")
