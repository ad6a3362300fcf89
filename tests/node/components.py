"""The components' images for a node, built and pinned by build_components.py in a copy of the checkout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import command_line
from tests.images import servers
from tests.images.conftest import BuildHost, checkout
from tests.node import compiled, volume
from tests.node.compiled import Compiled
from tests.node.node import Node


@dataclass(frozen=True)
class Project:
    """A copy of the checkout whose components are pinned to images in a node's registry.

    Args:
        folder: of the copy.
    """

    folder: Path

    def compile(self, *settings: str) -> Compiled:
        """Compile the pipeline with arguments and a section `cluster`, as `run_pipeline.py --compile-only` does."""
        package = self.folder.parent / "dp_lstm.yaml"
        given = ("cluster.gpus=0", f"cluster.workspace={{size: 1Gi, storage_class: {volume.CLASS}}}", *settings)
        options = [option for setting in given for option in ("--set", setting)]
        script = self.folder / "run_pipeline.py"
        done = command_line.script(script, "--compile-only", str(package), *options, folder=self.folder, environment={})
        assert done.returncode == 0, done.stderr
        return compiled.load(package)


def project(node: Node, folder: Path) -> Project:
    """Build the components' images and push them to a node's registry, each pinned by its digest.

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
    return Project(copy)


@contextlib.contextmanager
def _build_host(copy: Path, node: Node, *, enter: tuple[str, ...]) -> Iterator[BuildHost]:
    folder = copy.parent / ("inside" if enter else "here")
    folder.mkdir(exist_ok=True)
    with servers.engine(folder, enter=enter) as address:
        yield BuildHost(copy, address, node.loopback_registry, enter)
