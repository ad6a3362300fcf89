"""Run a command in an image and follow it: its lines, and its exit status."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker

from privatekube.images.engine import Engine, translate_errors


def follow(
    client: docker.DockerClient,
    reference: str,
    command: Sequence[str],
    options: Mapping[str, Any],
    on_line: Callable[[str], None],
) -> int:
    """Run a container and return its exit status; it is removed in every case, but not before its status is read.

    Args:
        client: client of the engine.
        reference: the image, pulled if it is missing.
        command: replaces the image's own command, as on Kubernetes.
        options: further arguments of the SDK's `containers.run`.
        on_line: called with each line that the command writes.

    Raises:
        PrivateKubeError: the engine cannot run it.
    """
    with translate_errors("container of", reference):
        container = client.containers.run(image=reference, command=list(command), detach=True, **options)
        try:
            with _without_timeout(client):
                chunks = container.logs(stream=True, follow=True)
            for line in _lines(chunks):
                on_line(line)
            return int(container.wait()["StatusCode"])
        finally:
            container.remove(force=True)


@contextlib.contextmanager
def _without_timeout(client: docker.DockerClient) -> Iterator[None]:
    """Wait for answers without a timeout: Podman answers a request to follow when the container writes its first line.

    A step may be silent for longer than the client's 60 seconds, such as one that loads much data.
    """
    seconds, client.api.timeout = client.api.timeout, None
    try:
        yield
    finally:
        client.api.timeout = seconds


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield whole lines, whatever chunks the engine cuts the output into."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def gpu(engine: Engine) -> dict[str, Any]:
    """Return the options that give a container this machine's GPUs; none if it has no GPU."""
    if not Path("/dev/nvidiactl").exists():
        return {}
    if engine.name == "Podman":
        return {"devices": ["nvidia.com/gpu=all"]}
    return {"device_requests": [docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]}
