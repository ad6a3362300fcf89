"""A copy of the checkout, an engine, a registry, and the images built from the copy: once for all tests here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import waiting
from tests.e2e.conftest import Laptop
from tests.e2e.test_interrupted import wait_for
from tests.images import servers

ROOT = Path(__file__).resolve().parents[2]
ENABLED = "PRIVATEKUBE_TEST_IMAGES"


@dataclass(frozen=True)
class BuildHost:
    """A place to build images.

    Args:
        folder: a copy of the checkout.
        engine: address of the engine, usually Podman's service.
        registry: host and port.
        enter: prefix of a command that must reach the registry.
    """

    folder: Path
    engine: str
    registry: str
    enter: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        """Registry and prefix of the images."""
        return f"{self.registry}/team"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command here: this engine, this copy's modules."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PRIVATEKUBE_")}
        return {**kept, **servers.SETTINGS, "DOCKER_HOST": self.engine, "PYTHONPATH": str(self.folder)}

    def build(self, *options: str, status: int = 0, **environment: str) -> str:
        """Run build_components.py of the copy, check its exit status, and return its output."""
        process = subprocess.run(
            [*self.enter, sys.executable, str(self.folder / "build_components.py"), *options],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        written = process.stdout + process.stderr
        assert process.returncode == status, written
        assert "Traceback" not in written
        return written

    def build_all(self) -> str:
        """Build, push and pin everything."""
        return self.build("--registry", self.repository, "--base-image", servers.BASE_IMAGE)

    def texts(self) -> dict[str, str]:
        """Read the component.yamls and the lock; return their texts by path."""
        paths = [*self.folder.glob("components/*/component.yaml"), *self.folder.glob("images.lock.yaml")]
        return {str(path.relative_to(self.folder)): path.read_text() for path in paths}


def checkout(folder: Path) -> Path:
    """Copy the files of the checkout that git tracks or would add, and commit them there."""
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def clean_build_host() -> Iterator[BuildHost]:
    """A copy of the checkout as shipped, an engine and a registry; tests are skipped if there can be none."""
    if ENABLED not in os.environ:
        pytest.skip("images take minutes and 16 GiB of disk: run make test-images")
    if reason := servers.why_absent():
        pytest.skip(reason)
    servers.make_base()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with servers.engine(folder) as engine, servers.registry(folder / "registry") as registry:
            (folder / "checkout").mkdir()
            yield BuildHost(checkout(folder / "checkout"), engine, registry)
        servers.remove("small", "leaky", "failing", "my-component")


@pytest.fixture(scope="session")
def build_host(clean_build_host: BuildHost) -> BuildHost:
    """The same with all images built, pushed and pinned."""
    shipped = clean_build_host.texts()
    clean_build_host.build_all()
    assert shipped != clean_build_host.texts()
    return clean_build_host


@dataclass(frozen=True)
class ContainerLaptop(Laptop):
    """A laptop that runs the commands of a build host's copy, with steps that run in its images."""

    build_host: BuildHost

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the laptop and of the build host."""
        return {**super().environment, **self.build_host.environment}

    @property
    def root(self) -> Path:
        """The build host's copy of the checkout."""
        return self.build_host.folder

    def pipeline_in_containers(self, *settings: str, options: tuple[str, ...] = (), status: int = 0) -> str:
        """Run the pipeline in its images with quick arguments, to its end."""
        return self.run("run_pipeline.py", "--runner", "docker", *options, *self._options(settings), status=status)

    def interrupt_pipeline(self) -> None:
        """Start a long run in the images and interrupt it while it trains."""
        options = self._options(("n_epochs=40", "sampling_rate=0.01"))
        process = self.start("run_pipeline.py", "--runner", "docker", *options)
        wait_for(process, "dp_train: noisy step")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=waiting.PATIENCE_SECONDS)
        assert process.returncode == 130, err


def laptop_with_blocks(folder: Path, build_host: BuildHost) -> ContainerLaptop:
    """Create a laptop with two blocks of epsilon 10."""
    laptop = ContainerLaptop(folder, build_host)
    laptop.run("demo_blocks.py", "create", "--days", "2", "--accounting", "epsdel")
    return laptop


@pytest.fixture
def laptop(build_host: BuildHost, tmp_path: Path) -> ContainerLaptop:
    """A laptop with two blocks of epsilon 10."""
    return laptop_with_blocks(tmp_path, build_host)
