"""A failed build ends with one line and an exit status, and component.yaml stays as it was."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ports
from tests.images import servers
from tests.images.conftest import BuildHost, checkout
from tests.images.lying_registry import WRONG, serve

COMPONENT = "# kept\nname: small\nimplementation:\n  container:\n    image: small  # kept too\n    command: [true]\n"
DOCKERFILE = f"ARG BASE_IMAGE={servers.BASE_IMAGE}\nFROM ${{BASE_IMAGE}}\nCOPY *.py /app/\n"
LOGIN = ("user", "$2y$05$t4S4qf1iYfHMYMbIbZZg6e/Pt57Y3j6SONVp5ONx/EKO/NOhkL4dm")
"""User, and bcrypt hash of the password `secret`."""
CAPABILITIES = "-dac_override,-dac_read_search"
WITHOUT_OVERRIDE = ("setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A component whose image is built in a second."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "component.yaml").write_text(COMPONENT)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "program.py").write_text("print('hello')\n")
    return folder


def refusal(build_host: BuildHost, *options: str, status: int, **environment: str) -> str:
    """Run a build that fails, and return its error, which must be one line and the last."""
    written = build_host.build(*options, status=status, **environment).splitlines()
    assert [line for line in written if line.startswith("error: ")] == written[-1:]
    return written[-1]


def is_unchanged(folder: Path) -> bool:
    return (folder / "component.yaml").read_text() == COMPONENT and not (folder / "images.lock.yaml").exists()


@pytest.fixture(scope="module")
def checkout_only(tmp_path_factory: pytest.TempPathFactory) -> BuildHost:
    """A build host without an engine, for errors that are found before one is used."""
    return BuildHost(checkout(tmp_path_factory.mktemp("checkout")), "unix:///nowhere.sock", "localhost:9")


def test_no_engine(checkout_only: BuildHost, small: Path) -> None:
    line = refusal(checkout_only, str(small), "--no-push", status=2)
    assert line.startswith("error: engine: unix:///nowhere.sock does not exist; start Docker")
    assert is_unchanged(small)


def test_an_engine_that_is_down(checkout_only: BuildHost, small: Path) -> None:
    line = refusal(checkout_only, str(small), "--no-push", status=2, DOCKER_HOST="tcp://127.0.0.1:9")
    assert "engine: tcp://127.0.0.1:9 does not answer" in line


def test_a_component_yaml_without_an_image(checkout_only: BuildHost, small: Path) -> None:
    (small / "component.yaml").write_text("name: small\nimplementation: {container: {command: [x]}}\n")
    line = refusal(checkout_only, str(small), "--no-push", status=2)
    assert "has no implementation.container.image; write `image: NAME` there" in line


def test_a_component_yaml_that_is_not_yaml(checkout_only: BuildHost, small: Path) -> None:
    (small / "component.yaml").write_text("name: [\n")
    assert "line 2 is not YAML" in refusal(checkout_only, str(small), "--no-push", status=2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--no-push",), "holds no component.yaml, nor does a directory in it"),
        (("--no-push", "--single"), "holds no component.yaml; name the directory of a component"),
    ],
)
def test_a_directory_without_components(
    checkout_only: BuildHost, tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    assert expected in refusal(checkout_only, str(tmp_path), *options, status=2)


def test_a_directory_that_does_not_exist(checkout_only: BuildHost) -> None:
    assert "is not a directory" in refusal(checkout_only, "elsewhere", "--no-push", status=2)


def test_a_copied_file_that_does_not_exist(checkout_only: BuildHost, small: Path) -> None:
    (small / "program.py").unlink()
    assert "COPY in small/Dockerfile: '*.py' is not in" in refusal(checkout_only, str(small), "--no-push", status=2)


def test_a_registry_is_required(checkout_only: BuildHost, small: Path) -> None:
    line = refusal(checkout_only, str(small), status=2)
    assert "registry: is not given; give --registry HOST/PREFIX, repo in client_secrets.yaml, or --no-push" in line


def test_a_registry_of_the_wrong_form(checkout_only: BuildHost, small: Path) -> None:
    line = refusal(checkout_only, str(small), "--registry", "https://Host/x", status=2)
    assert "'https://Host/x' must be HOST[:PORT][/PREFIX]" in line


@pytest.mark.containers
def test_an_engine_that_refuses(clean_build_host: BuildHost, small: Path) -> None:
    """Run as a user who may not write to the socket: root without the capability to bypass permissions."""
    socket = Path(clean_build_host.engine.removeprefix("unix://"))
    mode = socket.stat().st_mode
    socket.chmod(0)
    try:
        process = subprocess.run(
            [*WITHOUT_OVERRIDE, sys.executable, "build_components.py", str(small), "--no-push"],
            cwd=clean_build_host.folder,
            env=clean_build_host.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        socket.chmod(mode)
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: engine: {clean_build_host.engine} refuses access (permission denied); ")


@pytest.mark.containers
def test_a_registry_that_is_down_is_found_before_anything_is_built(clean_build_host: BuildHost, small: Path) -> None:
    with ports.reserved() as port:
        line = refusal(clean_build_host, str(small), "--registry", f"localhost:{port}/team", status=1)
    assert f"registry: localhost:{port} cannot be reached" in line
    assert is_unchanged(small)


@pytest.mark.containers
def test_wrong_credentials(clean_build_host: BuildHost, small: Path, tmp_path: Path) -> None:
    with servers.registry(tmp_path / "registry", login=LOGIN) as registry:
        options = (str(small), "--registry", f"{registry}/team")
        for password, status in ((None, 2), ("wrong", 2), ("secret", 0)):
            store = tmp_path / f"docker-{password}"
            store.mkdir()
            if password:
                entry = base64.b64encode(f"user:{password}".encode()).decode()
                (store / "config.json").write_text(json.dumps({"auths": {registry: {"auth": entry}}}))
            if status:
                line = refusal(clean_build_host, *options, status=status, DOCKER_CONFIG=str(store))
                assert (
                    f"registry: {registry} denies access to team/small (401); log in: docker login {registry}" in line
                )
                assert is_unchanged(small)
            else:
                clean_build_host.build(*options, DOCKER_CONFIG=str(store))
                assert f"image: {registry}/team/small@sha256:" in (small / "component.yaml").read_text()


@pytest.mark.containers
def test_a_dockerfile_that_fails_shows_the_last_lines_of_its_step(clean_build_host: BuildHost, small: Path) -> None:
    (small / "Dockerfile").write_text(DOCKERFILE + 'RUN echo "cannot find the thing" >&2; exit 7\n')
    written = clean_build_host.build(str(small), "--no-push", status=1).splitlines()
    assert any("cannot find the thing" in line for line in written[:-1])
    assert written[-1].startswith("error: localhost/privatekube/small:")
    assert "exit status 7" in written[-1]
    assert is_unchanged(small)


@pytest.mark.containers
def test_a_disk_that_is_full_while_building(clean_build_host: BuildHost, small: Path) -> None:
    (small / "Dockerfile").write_text(DOCKERFILE + "RUN cat /dev/zero > /dev/full\n")
    written = clean_build_host.build(str(small), "--no-push", status=1)
    assert "No space left on device" in written
    assert is_unchanged(small)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.containers
def test_a_disk_that_is_full_while_pinning_leaves_component_yaml_whole(
    clean_build_host: BuildHost, tmp_path: Path
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    try:
        (folder / "component.yaml").write_text(COMPONENT)
        (folder / "Dockerfile").write_text(DOCKERFILE)
        (folder / "program.py").write_text("")
        fill(folder / "filling")
        line = refusal(clean_build_host, str(folder), "--no-push", status=2)
        assert "component.yaml cannot be written, no space left on device; free some space" in line
        assert is_unchanged(folder)
        assert not list(folder.glob(".component.yaml.*"))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.containers
def test_a_tag_that_another_user_wrote_is_refused(clean_build_host: BuildHost, small: Path) -> None:
    options = (str(small), "--registry", clean_build_host.repository)
    clean_build_host.build(*options)
    pinned = (small / "component.yaml").read_text()
    lock = (small / "images.lock.yaml").read_text()
    tag = lock.partition("tag: ")[2].split()[0]
    other = servers.podman("build", "-q", "--from", servers.BASE_IMAGE, "--label", "a=b", str(small)).strip()
    servers.podman("push", "-q", other, f"{clean_build_host.repository}/small:{tag}")
    line = refusal(clean_build_host, *options, status=2)
    assert f"digest of {clean_build_host.repository}/small:{tag}: images.lock.yaml says sha256:" in line
    assert "another user wrote that tag" in line
    assert (small / "component.yaml").read_text() == pinned


@pytest.mark.containers
def test_a_digest_that_is_not_the_pushed_one_is_refused(clean_build_host: BuildHost, small: Path) -> None:
    (small / "program.py").write_text("print('of this test only')\n")
    with serve(clean_build_host.registry) as lying:
        line = refusal(clean_build_host, str(small), "--registry", f"{lying}/lies", status=2)
    assert f"was pushed, the registry holds {WRONG}" in line
    assert is_unchanged(small)
