"""Run a command in an image, and follow it: what it writes, and the exit status that it ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker

from privatekube.images.engine import Engine, translated


def follow(
    client: docker.DockerClient,
    reference: str,
    command: Sequence[str],
    options: Mapping[str, Any],
    wrote: Callable[[str], None],
) -> int:
    """Run a container and return its exit status; it is removed only after that was read, whatever happens.

    Args:
        client: of the engine.
        reference: of the image, pulled where it is not here.
        command: runs instead of the image's own, as on Kubernetes.
        options: further arguments of the SDK's `containers.run`.
        wrote: is told each line.

    Raises:
        PrivateKubeError: the engine cannot run it.
    """
    with translated("container of", reference):
        container = client.containers.run(image=reference, command=list(command), detach=True, **options)
        try:
            for line in _lines(container.logs(stream=True, follow=True)):
                wrote(line)
            return int(container.wait()["StatusCode"])
        finally:
            container.remove(force=True)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines, however the engine cuts what was written into chunks."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def gpu(engine: Engine) -> dict[str, Any]:
    """What gives a container this machine's GPUs; nothing where there is none."""
    if not Path("/dev/nvidiactl").exists():
        return {}
    if engine.name == "Podman":
        return {"devices": ["nvidia.com/gpu=all"]}
    return {"device_requests": [docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]}
