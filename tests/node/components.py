"""The components' images, built and pinned by the project's own command on a copy of the checkout, for a node."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.images import servers
from tests.images.conftest import Workshop, checkout
from tests.node import compiled
from tests.node.compiled import Compiled
from tests.node.node import Node

_SECONDS = 300


def pipeline(node: Node, folder: Path) -> Compiled:
    """The pipeline, compiled from components whose images are in the node's registry, each named by its digest.

    Images are built where package registries are reached, and pushed from within the node's network, where nothing is
    left to build.
    """
    copy = folder / "checkout"
    copy.mkdir()
    checkout(copy)
    servers.make_base()
    with _workshop(copy, node, enter=()) as here:
        here.build("--no-push", "--base-image", servers.BASE_IMAGE)
    with _workshop(copy, node, enter=node.enter) as inside:
        inside.build_all()
    servers.forget(node.loopback_registry)
    command = [sys.executable, str(copy / "run_pipeline.py"), "--compile-only", str(folder / "dp_lstm.yaml")]
    subprocess.run(command, cwd=copy, env=inside.environment, check=True, capture_output=True, timeout=_SECONDS)
    return compiled.load(folder / "dp_lstm.yaml")


@contextlib.contextmanager
def _workshop(copy: Path, node: Node, *, enter: tuple[str, ...]) -> Iterator[Workshop]:
    folder = copy.parent / ("inside" if enter else "here")
    folder.mkdir(exist_ok=True)
    with servers.engine(folder, enter=enter) as address:
        yield Workshop(copy, address, node.loopback_registry, enter)
