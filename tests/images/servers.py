"""A real engine and a real registry for tests: Podman's service on a socket, docker-registry on a loopback port.

Each is stopped by its process id, and ended by `timeout` if the tests are killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import ports, waiting

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "containers"
BASE_IMAGE = "localhost/privatekube/test-base"
SETTINGS = {
    "CONTAINERS_CONF": str(TOOLS / "containers.conf"),
    "CONTAINERS_REGISTRIES_CONF": str(TOOLS / "registries.conf"),
}
_LONGEST_SECONDS, _COMMAND_SECONDS, _READY_SECONDS, _STOP_SECONDS = 7200, 900, 30, 20
PLAIN = "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}, delete: {{enabled: true}}}}\n"
HTTP = "http: {{addr: '127.0.0.1:{port}'}}\nlog: {{level: warn}}\n"
LOGIN = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"


def why_absent() -> str | None:
    """Return why no engine and registry can be started here; None if they can."""
    absent = [program for program in ("podman", "runc", "docker-registry", "debootstrap") if not _is_installed(program)]
    if absent:
        return f"no {', '.join(absent)}: run make test-images, which installs them on Debian"
    return None if os.getuid() == 0 else "these tests build images as root; run them as root"


def make_base() -> str:
    """Make the base image that stands for python:3.11-slim, and return its name."""
    subprocess.run([TOOLS / "base-image.sh", BASE_IMAGE], check=True, timeout=_COMMAND_SECONDS)
    return BASE_IMAGE


@contextlib.contextmanager
def engine(folder: Path, enter: tuple[str, ...] = ()) -> Iterator[str]:
    """Run Podman's service, with a prefix that enters a network; yield its address."""
    path = folder / "podman.sock"
    command = [*enter, "podman", "system", "service", "--time", "0", f"unix://{path}"]
    with _run_in_background(command, folder / "podman.log", environment=SETTINGS):
        _wait(lambda: path.exists() and _podman_answers(path), folder / "podman.log")
        yield f"unix://{path}"


@contextlib.contextmanager
def registry(folder: Path, *, login: tuple[str, str] | None = None, port: int | None = None) -> Iterator[str]:
    """Run docker-registry with its data in `folder`; yield host and port.

    Args:
        folder: a folder for this registry only.
        login: user and bcrypt hash of the password that it requires.
        port: port on loopback; None takes a free one.
    """
    with contextlib.nullcontext(port) if port else ports.reserved() as chosen:
        folder.mkdir(exist_ok=True)
        text = (PLAIN + HTTP + (LOGIN if login else "")).format(folder=folder, port=chosen)
        (folder / "config.yml").write_text(text)
        if login:
            (folder / "htpasswd").write_text(":".join(login) + "\n")
        with _run_in_background(["docker-registry", "serve", str(folder / "config.yml")], folder / "log"):
            _wait(lambda: _listens(chosen), folder / "log")
            try:
                yield f"localhost:{chosen}"
            finally:
                forget(f"localhost:{chosen}")


def podman(*arguments: str, enter: tuple[str, ...] = ()) -> str:
    """Run podman, with a prefix that enters a network, and return its stdout."""
    process = subprocess.run(
        [*enter, "podman", *arguments],
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
    written = f"{process.stdout[-3000:]}\n{process.stderr[-3000:]}"
    assert process.returncode == 0, f"podman {arguments}: {process.returncode}\n{written}"
    return process.stdout


def forget(prefix: str) -> None:
    """Remove the image names that begin with `prefix`; images with another name are kept for the next time."""
    images = podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    for name in images:
        if name.startswith(f"{prefix}/") and not name.endswith(":<none>"):
            podman("untag", name, name)


def remove(*names: str) -> None:
    """Remove the images with these names that were built here without a registry."""
    images = podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    for image in images:
        if image.partition(":")[0].removeprefix("localhost/privatekube/") in names:
            podman("rmi", "--force", image)


@contextlib.contextmanager
def _run_in_background(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("ab") as written:
        process = subprocess.Popen(
            ["timeout", str(_LONGEST_SECONDS), *command],
            env={**os.environ, **(environment or {})},
            stdout=written,
            stderr=written,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(is_ready: Callable[[], bool], log: Path) -> None:
    waiting.until(is_ready, lambda: log.read_text(errors="replace"), seconds=_READY_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _podman_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _is_installed(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
