"""The same on the Docker engine that PRIVATEKUBE_TEST_DOCKER names; other tests here use Podman's service."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.conftest import committed
from tests.images import servers
from tests.images.conftest import BuildHost, ContainerLaptop, checkout, laptop_with_blocks
from tests.images.test_build import BASES, COMPONENTS, image_of

pytestmark = pytest.mark.containers
NAMED = "PRIVATEKUBE_TEST_DOCKER"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The Docker engine, with the base image."""
    if NAMED not in os.environ:
        pytest.skip(f"no Docker engine is named: {NAMED}=unix:///var/run/docker.sock make test-images")
    with contextlib.closing(docker.DockerClient(base_url=os.environ[NAMED], timeout=600)) as docker_client:
        saved = ["podman", "save", servers.BASE_IMAGE]
        packed = subprocess.run(saved, env={**os.environ, **servers.SETTINGS}, stdout=subprocess.PIPE, check=True)
        (loaded,) = docker_client.images.load(packed.stdout)
        loaded.tag(servers.BASE_IMAGE)
        yield docker_client


@pytest.fixture(scope="module")
def docker_build_host(clean_build_host: BuildHost, client: Any, tmp_path_factory: pytest.TempPathFactory) -> BuildHost:
    """A copy of the checkout with all images built by Docker, pushed and pinned."""
    build_host = replace(
        clean_build_host, folder=checkout(tmp_path_factory.mktemp("docker_build_host")), engine=os.environ[NAMED]
    )
    assert f"Docker at {build_host.engine} builds {len(COMPONENTS)} components" in build_host.build_all()
    return build_host


@pytest.fixture
def laptop(docker_build_host: BuildHost, tmp_path: Path) -> ContainerLaptop:
    """A laptop with two blocks of epsilon 10."""
    return laptop_with_blocks(tmp_path, docker_build_host)


def test_it_pins_what_it_pushed_and_builds_nothing_again(docker_build_host: BuildHost) -> None:
    assert all(f"{docker_build_host.repository}/" in image_of(docker_build_host, component) for component in COMPONENTS)
    assert docker_build_host.build_all().count(" unchanged ") == len(COMPONENTS) + len(BASES)
    assert "agree" in docker_build_host.build("--check")


def test_a_run_publishes_pays_and_leaves_no_container(laptop: ContainerLaptop, client: Any) -> None:
    assert "release: run ended SUCCEEDED" in laptop.pipeline_in_containers()
    assert "model.pt" in {path.name for path in (laptop.folder / "out" / "latest").iterdir()}
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    assert client.containers.list(all=True) == []


def test_a_step_that_fails_fails_the_run_with_its_exit_status(laptop: ContainerLaptop) -> None:
    written = laptop.pipeline_in_containers("epsilon=11", status=3)
    assert written.splitlines()[-1].startswith("error: allocate:")
    assert "release: run ended FAILED" in written
    assert [committed(block) for block in laptop.blocks().values()] == [0, 0]


def test_ctrl_c_settles_the_claim_and_leaves_no_container(laptop: ContainerLaptop, client: Any) -> None:
    laptop.interrupt_pipeline()
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    assert client.containers.list(all=True) == []


def test_a_dockerfile_that_fails_shows_the_last_lines_of_its_step(docker_build_host: BuildHost, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "component.yaml").write_text("name: small\nimplementation: {container: {image: small}}\n")
    text = f"FROM {servers.BASE_IMAGE}\nCOPY *.yaml /app/\nRUN echo 'cannot find the thing' >&2; exit 7\n"
    (folder / "Dockerfile").write_text(text)
    written = docker_build_host.build(str(folder), "--no-push", status=1).splitlines()
    assert any("cannot find the thing" in line for line in written[:-1])
    assert written[-1].startswith("error: localhost/privatekube/small:")
    assert "code: 7" in written[-1]
