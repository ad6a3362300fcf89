"""The image of the page: it starts on a read-only root as an unprivileged user, and answers who has no token."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from tests import ports, waiting
from tests.images import servers
from tests.images.conftest import BuildHost

pytestmark = pytest.mark.containers
IMAGE = "localhost/privatekube/page:test"
AUTHORITY = "/etc/kubernetes/ca.crt"
SCRATCH = "/tmp"  # noqa: S108 - inside the container


@pytest.fixture(scope="module")
def image(clean_build_host: BuildHost) -> str:
    dockerfile = clean_build_host.folder / "manifests" / "page" / "Dockerfile"
    arguments = ("--build-arg", f"BASE_IMAGE={servers.BASE_IMAGE}")
    servers.podman("build", "-q", "-f", str(dockerfile), *arguments, "-t", IMAGE, str(clean_build_host.folder))
    return IMAGE


@pytest.fixture
def address(image: str, tmp_path: Path) -> Iterator[str]:
    """Run the page as its pod does, with the network of this machine; yield its address."""
    shutil.copy(certifi.where(), tmp_path / "ca.crt")
    limits = ("--read-only", "--read-only-tmpfs=false", f"--tmpfs={SCRATCH}", "--cap-drop=all")
    mount = f"--volume={tmp_path}/ca.crt:{AUTHORITY}:ro"
    with ports.reserved() as port:
        options = (f"--certificate-authority={AUTHORITY}", f"--port={port}", "--server=https://127.0.0.1:9")
        command = ("python3", "-m", "privatekube.cli", "serve-cluster", *options)
        container = servers.podman("run", "-d", "--network=host", *limits, mount, image, *command).strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            servers.podman("rm", "--force", "--time", "5", container)


def ask(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our server
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_container_of_the_page_answers_with_the_form(address: str) -> None:
    waiting.until(lambda: ask(f"{address}/sign-in") == 200)
    assert ask(f"{address}/static/page.css") == 200
    assert ask(address) == 401


def test_the_image_of_the_page_runs_as_an_unprivileged_user_and_has_no_pip(image: str) -> None:
    described = json.loads(servers.podman("image", "inspect", image))[0]
    assert described["Config"]["User"] == "1000:1000"
    program = "import importlib.util as u; print([n for n in ('pip', 'pytest', 'torch', 'scipy') if u.find_spec(n)])"
    assert servers.podman("run", "--rm", image, "python3", "-c", program).strip() == "[]"
