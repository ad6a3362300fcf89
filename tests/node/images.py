"""Images for a node: built, and pushed to its registry, with Podman."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CONTAINERS = ROOT / "tools" / "containers"
BASE = "localhost/privatekube-test-base:bookworm"
"""What tools/containers/base-image.sh makes: Debian with python3."""
_SETTINGS = {
    "CONTAINERS_CONF": str(CONTAINERS / "containers.conf"),
    "CONTAINERS_REGISTRIES_CONF": str(CONTAINERS / "registries.conf"),
}
_BUILD_SECONDS = 900


def make_base() -> str:
    """The base image's name; it is made where it is not there yet."""
    subprocess.run([CONTAINERS / "base-image.sh", BASE], check=True, timeout=_BUILD_SECONDS)
    return BASE


def build(dockerfile: Path, name: str, *, base: str) -> str:
    """Build an image on `base` from the project's root; returns its name."""
    _podman("build", f"--file={dockerfile}", f"--build-arg=BASE_IMAGE={base}", f"--tag={name}", str(ROOT))
    return name


def push(image: str, repository: str, *, enter: tuple[str, ...]) -> str:
    """Push an image to a registry of plain HTTP; returns its reference by digest there."""
    with tempfile.NamedTemporaryFile("r") as digest:
        _podman("push", "--tls-verify=false", f"--digestfile={digest.name}", image, f"{repository}:test", enter=enter)
        return f"{repository}@{digest.read().strip()}"


def _podman(*arguments: str, enter: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [*enter, "podman", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
        env={**os.environ, **_SETTINGS},
    )
    assert done.returncode == 0, f"podman {arguments}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
