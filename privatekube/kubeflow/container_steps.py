"""Run the steps of a local run in their images, through kfp.local's DockerRunner."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.client import connect
from privatekube.images import container_run, engine
from privatekube.kubeflow import subprocess_steps as run_steps
from privatekube.resources.block import PrivateDataBlock

CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
_SQLITE = "sqlite:///"


def replacement(steps: run_steps.Steps) -> Callable[..., int]:
    """What stands in for kfp.local's function of that name, which reports some failures as success."""

    def run_docker_container(
        client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any
    ) -> int:
        """Run a container and return its exit status."""
        step, last = steps.components.step_of(command), ""

        def wrote(line: str) -> None:
            nonlocal last
            last = line
            steps.observer.wrote(step, line)

        steps.observer.begun(step)
        try:
            exit_status = container_run.follow(client, image, command, {"volumes": volumes, **options}, wrote)
        except errors.PrivateKubeError as error:
            exit_status, last = error.exit_status, str(error)
        steps.end(step, exit_status, last)
        return exit_status

    return run_docker_container


def prepare(images: Iterable[str]) -> engine.Engine:
    """The engine that will run the steps, which kfp.local finds in DOCKER_HOST; each image is there, or is pulled.

    Raises:
        InvalidInput: no engine answers, an image cannot be had, or the store is not one for containers.
    """
    store = os.environ.get(connect.STORE, connect.DEFAULT_STORE)
    if not store.startswith(_SQLITE):
        raise errors.invalid(connect.STORE, store, "is no file to mount", "use --runner environment")
    found = engine.connect()
    os.environ["DOCKER_HOST"] = found.address
    for reference in images:
        found.require(reference)
    return found


def arguments(
    prefix: str, blocks: Sequence[PrivateDataBlock], *, engine_: engine.Engine, gpu: bool = True
) -> dict[str, Any]:
    """What a container gets besides its artifacts: the store, the data and the results folder, as this user.

    Args:
        prefix: where results are published; mounted where it is a folder.
        blocks: whose file:// data is mounted, for reading alone.
        engine_: see `prepare`.
        gpu: whether containers get the GPUs of this machine, where there are any.
    """
    store = os.environ.get(connect.STORE, connect.DEFAULT_STORE)
    database = Path(store.removeprefix(_SQLITE)).resolve()
    writable = {str(database.parent)} | ({prefix} if "://" not in prefix else set())
    data = {
        str(Path(b.spec.data_source.removeprefix("file://")).parent)
        for b in blocks
        if b.spec.data_source[:7] == "file://"
    }
    environment = {connect.STORE: f"{_SQLITE}{database}"}
    if credentials := os.environ.get(CREDENTIALS):
        environment[CREDENTIALS] = credentials
        data.add(credentials)
    return {
        "mounts": [*_mounts(writable, read_only=False), *_mounts(data - writable, read_only=True)],
        "environment": environment,
        "user": f"{os.getuid()}:{os.getgid()}",
        "read_only": True,
        "tmpfs": {"/tmp": ""},  # noqa: S108 - inside the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        **(container_run.gpu(engine_) if gpu else {}),
    }


def _mounts(paths: set[str], *, read_only: bool) -> list[dict[str, Any]]:
    return [{"Type": "bind", "Source": path, "Target": path, "ReadOnly": read_only} for path in sorted(paths)]
