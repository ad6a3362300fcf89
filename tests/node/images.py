"""Build images for a node, and push them to its registry, with Podman."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.images import servers

ROOT = Path(__file__).resolve().parents[2]


def build(dockerfile: Path, name: str, *, base: str) -> str:
    """Build an image on `base` with the project's root as context, and return its name."""
    servers.podman("build", f"--file={dockerfile}", f"--build-arg=BASE_IMAGE={base}", f"--tag={name}", str(ROOT))
    return name


def push(image: str, repository: str, *, enter: tuple[str, ...]) -> str:
    """Push an image to a registry without TLS, and return its reference by digest."""
    with tempfile.NamedTemporaryFile("r") as digest:
        options = ("--tls-verify=false", f"--digestfile={digest.name}")
        servers.podman("push", *options, image, f"{repository}:test", enter=enter)
        return f"{repository}@{digest.read().strip()}"
