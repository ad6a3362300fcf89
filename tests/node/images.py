"""Build images for a node, and push them to its registry, with Podman."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CONTAINERS = ROOT / "tools" / "containers"
BASE = "localhost/privatekube-test-base:bookworm"
"""Name of the image that tools/containers/base-image.sh makes: Debian with python3."""
_SETTINGS = {
    "CONTAINERS_CONF": str(CONTAINERS / "containers.conf"),
    "CONTAINERS_REGISTRIES_CONF": str(CONTAINERS / "registries.conf"),
}
_BUILD_SECONDS = 900


def make_base() -> str:
    """Make the base image unless it exists, and return its name."""
    subprocess.run([CONTAINERS / "base-image.sh", BASE], check=True, timeout=_BUILD_SECONDS)
    return BASE


def build(dockerfile: Path, name: str, *, base: str) -> str:
    """Build an image on `base` with the project's root as context, and return its name."""
    _podman("build", f"--file={dockerfile}", f"--build-arg=BASE_IMAGE={base}", f"--tag={name}", str(ROOT))
    return name


def push(image: str, repository: str, *, enter: tuple[str, ...]) -> str:
    """Push an image to a registry without TLS, and return its reference by digest."""
    with tempfile.NamedTemporaryFile("r") as digest:
        _podman("push", "--tls-verify=false", f"--digestfile={digest.name}", image, f"{repository}:test", enter=enter)
        return f"{repository}@{digest.read().strip()}"


def _podman(*arguments: str, enter: tuple[str, ...] = ()) -> str:
    process = subprocess.run(
        [*enter, "podman", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
        env={**os.environ, **_SETTINGS},
    )
    assert process.returncode == 0, (
        f"podman {arguments}: {process.returncode}\n{process.stdout[-3000:]}\n{process.stderr[-3000:]}"
    )
    return process.stdout
