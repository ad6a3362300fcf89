"""Run the steps of a local run in their images, through kfp.local's DockerRunner."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.client import connect
from privatekube.images import container_run, engine
from privatekube.kubeflow.subprocess_steps import Steps
from privatekube.resources.block import PrivateDataBlock

CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
_SQLITE = "sqlite:///"


def replacement(steps: Steps) -> Callable[..., int]:
    """Return the replacement for kfp.local's `run_docker_container`, which reports some failures as success."""

    def run_docker_container(
        client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any
    ) -> int:
        """Run a container and return its exit status."""
        step, last_line = steps.components.step_of(command), ""

        def on_line(line: str) -> None:
            nonlocal last_line
            last_line = line
            steps.observer.on_line(step, line)

        steps.observer.on_start(step)
        if steps.skip(step):
            return 0
        try:
            exit_status = container_run.follow(client, image, command, {"volumes": volumes, **options}, on_line)
        except errors.PrivateKubeError as error:
            exit_status, last_line = error.exit_status, str(error)
        steps.record_end(step, exit_status, last_line)
        return exit_status

    return run_docker_container


def prepare(images: Iterable[str]) -> engine.Engine:
    """Connect to the engine that will run the steps, have kfp.local use it (DOCKER_HOST), and pull missing images.

    Raises:
        InvalidInput: no engine answers, an image cannot be pulled, or the store is not a file that can be mounted.
    """
    store = os.environ.get(connect.STORE, connect.DEFAULT_STORE)
    if not store.startswith(_SQLITE):
        raise errors.invalid(connect.STORE, store, "is not a file that can be mounted", "use --runner environment")
    connected = engine.connect()
    os.environ["DOCKER_HOST"] = connected.address
    for reference in images:
        connected.require(reference)
    return connected


def arguments(
    prefix: str | None, blocks: Sequence[PrivateDataBlock], *, container_engine: engine.Engine, gpu: bool = True
) -> dict[str, Any]:
    """Return the options of each container: mounts for the store, the data and the results; this user; no rights.

    Args:
        prefix: where results are published; mounted if it is a folder; None if the steps publish nothing.
        blocks: blocks whose file:// data is mounted read-only.
        container_engine: see `prepare`.
        gpu: whether containers get the GPUs of this machine, if it has any.
    """
    store = os.environ.get(connect.STORE, connect.DEFAULT_STORE)
    database = Path(store.removeprefix(_SQLITE)).resolve()
    writable = {str(database.parent)} | ({prefix} if prefix is not None and "://" not in prefix else set())
    sources = [block.spec.data_source for block in blocks]
    read_only = {str(Path(uri.removeprefix("file://")).parent) for uri in sources if uri.startswith("file://")}
    environment = {connect.STORE: f"{_SQLITE}{database}"}
    if credentials := os.environ.get(CREDENTIALS):
        environment[CREDENTIALS] = credentials
        read_only.add(credentials)
    return {
        "mounts": [*_mounts(writable, read_only=False), *_mounts(read_only - writable, read_only=True)],
        "environment": environment,
        "user": f"{os.getuid()}:{os.getgid()}",
        "read_only": True,
        "tmpfs": {"/tmp": ""},  # noqa: S108 - inside the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        **(container_run.gpu(container_engine) if gpu else {}),
    }


def _mounts(paths: set[str], *, read_only: bool) -> list[dict[str, Any]]:
    return [{"Type": "bind", "Source": path, "Target": path, "ReadOnly": read_only} for path in sorted(paths)]
