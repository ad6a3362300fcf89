"""Run the steps of a local run in their images, through kfp.local's DockerRunner."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines import steps as run_steps
from privatekube import client
from privatekube.resources.block import PrivateDataBlock


def replacement(steps: run_steps.Steps) -> Callable[..., int]:
    """What stands in for kfp.local's function of that name, which reports some failures as success."""

    def run_docker_container(
        client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any
    ) -> int:
        """Run a container and return its exit status; it is removed only after that was read."""
        step, last = run_steps.step_of(command), ""
        steps.observer.begun(step)
        container = client.containers.run(image=image, command=command, volumes=volumes, detach=True, **options)
        try:
            for chunk in container.logs(stream=True, follow=True):
                for last in chunk.decode(errors="replace").splitlines():
                    steps.observer.wrote(step, last)
            exit_status = int(container.wait()["StatusCode"])
        finally:
            container.remove(force=True)
        steps.end(step, exit_status, last)
        return exit_status

    return run_docker_container


def arguments(prefix: str, blocks: Sequence[PrivateDataBlock]) -> dict[str, Any]:
    """What a local container gets besides its artifacts: the store, the data and the results folder, as this user.

    Args:
        prefix: where results are published; mounted where it is a folder.
        blocks: whose file:// data is mounted, for reading alone.
    """
    store = os.environ.get(client.STORE, client.DEFAULT_STORE)
    database = Path(store.removeprefix("sqlite:///")).resolve()
    writable = {str(database.parent)} | ({prefix} if "://" not in prefix else set())
    data = {
        str(Path(b.spec.data_source.removeprefix("file://")).parent)
        for b in blocks
        if b.spec.data_source[:7] == "file://"
    }
    mounts = [{"Type": "bind", "Source": path, "Target": path, "ReadOnly": False} for path in sorted(writable)]
    mounts += [{"Type": "bind", "Source": path, "Target": path, "ReadOnly": True} for path in sorted(data - writable)]
    return {
        "mounts": mounts,
        "environment": {client.STORE: f"sqlite:///{database}"},
        "user": f"{os.getuid()}:{os.getgid()}",
        "read_only": True,
        "tmpfs": {"/tmp": ""},  # noqa: S108 - inside the container
    }
