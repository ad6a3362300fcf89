"""The components' images for a node, built and pinned by build_components.py in a copy of the checkout."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.images import servers
from tests.images.conftest import BuildHost, checkout
from tests.node import compiled, volume
from tests.node.compiled import Compiled
from tests.node.node import Node

_SECONDS = 300


def pipeline(node: Node, folder: Path) -> Compiled:
    """Compile the pipeline from components whose images are in the node's registry, each pinned by its digest.

    Images are built where package registries can be reached, and then pushed from within the node's network.
    """
    copy = folder / "checkout"
    copy.mkdir()
    checkout(copy)
    servers.make_base()
    with _build_host(copy, node, enter=()) as here:
        here.build("--no-push", "--base-image", servers.BASE_IMAGE)
    with _build_host(copy, node, enter=node.enter) as inside:
        inside.build_all()
    servers.forget(node.loopback_registry)
    settings = ("--set", "cluster.gpus=0", "--set", f"cluster.workspace={{size: 1Gi, storage_class: {volume.CLASS}}}")
    command = [sys.executable, str(copy / "run_pipeline.py"), "--compile-only", str(folder / "dp_lstm.yaml"), *settings]
    subprocess.run(command, cwd=copy, env=inside.environment, check=True, capture_output=True, timeout=_SECONDS)
    return compiled.load(folder / "dp_lstm.yaml")


@contextlib.contextmanager
def _build_host(copy: Path, node: Node, *, enter: tuple[str, ...]) -> Iterator[BuildHost]:
    folder = copy.parent / ("inside" if enter else "here")
    folder.mkdir(exist_ok=True)
    with servers.engine(folder, enter=enter) as address:
        yield BuildHost(copy, address, node.loopback_registry, enter)
