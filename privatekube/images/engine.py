"""Docker or Podman, whichever answers: build, push, and say what went wrong in one line.

The docker SDK speaks to both. It does not raise when a push fails, nor when a step of a build does: each line of the
stream that the engine answers with is looked at.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker import errors as docker_errors

from privatekube import errors
from privatekube.images.context import Context
from privatekube.images.registry import Credentials

AUTO, DOCKER, PODMAN = "auto", "docker", "podman"
TAIL_LINES = 12
_DOCKER_SOCKET = "unix:///var/run/docker.sock"
_SECONDS = 3600
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


class BuildFailed(errors.Permanent):
    """A step of a Dockerfile failed; `tail` is the last that was written."""

    def __init__(self, message: str, tail: tuple[str, ...]) -> None:
        super().__init__(message)
        self.tail = tail


def sockets(choice: str) -> list[str]:
    """Where an engine may answer, in the order that it is tried."""
    named = os.environ.get("DOCKER_HOST")
    if choice == AUTO and named:
        return [named]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = [f"unix://{folder}/podman/podman.sock" for folder in (runtime, "/run") if folder]
    return {DOCKER: [_DOCKER_SOCKET], PODMAN: podman, AUTO: [_DOCKER_SOCKET, *podman]}[choice]


def connect(choice: str = AUTO) -> Engine:
    """The first engine that answers.

    Raises:
        InvalidInput: none does.
    """
    refusals = []
    for address in sockets(choice):
        try:
            client = docker.DockerClient(base_url=address, version="auto", timeout=_SECONDS)
            parts = [part["Name"] for part in client.version().get("Components", [])]
        except (docker_errors.DockerException, requests.RequestException, ValueError) as error:
            refusals.append(f"{address} {_reason(error)}")
            continue
        return Engine(client, "Podman" if any("Podman" in part for part in parts) else "Docker", address)
    raise errors.InvalidInput(
        f"engine: {'; '.join(refusals)}; start Docker, or `podman system service`, or name a socket in DOCKER_HOST"
    )


@dataclass(frozen=True)
class Engine:
    """An engine that answers at `address`."""

    client: docker.DockerClient
    name: str
    address: str

    def identity(self, reference: str) -> str | None:
        """The id of an image that is here, else None."""
        with translated("image", reference):
            try:
                return str(self.client.images.get(reference).id)
            except docker_errors.ImageNotFound:
                return None

    def require(self, reference: str) -> str:
        """The id of an image, which is pulled where it is not here.

        Raises:
            InvalidInput: it cannot be had.
        """
        found = self.identity(reference)
        if found is None:
            with translated("base image", reference):
                found = str(self.client.images.pull(reference).id)
        return found

    def build(
        self, context: Context, reference: str, arguments: Mapping[str, str], wrote: Callable[[str], None]
    ) -> None:
        """Build an image and tag it; `wrote` is told each line.

        Raises:
            BuildFailed: a step failed.
        """
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with translated("build of", reference):
            stream = self.client.api.build(
                fileobj=context.archive(),
                custom_context=True,
                tag=reference,
                buildargs=dict(arguments),
                rm=True,
                forcerm=True,
                decode=True,
            )
            for line in _lines(stream):
                if "error" in line:
                    raise BuildFailed(f"{reference}: {_one_line(line['error'])}; correct its Dockerfile", tuple(tail))
                for text in str(line.get("stream", "")).splitlines():
                    if text.strip():
                        tail.append(text.rstrip())
                        wrote(text.strip())

    def push(self, repository: str, tag: str, credentials: Credentials, wrote: Callable[[str], None]) -> str | None:
        """Push an image and return the digest that the engine says it has in the registry, if it says so.

        Raises:
            InvalidInput: the registry refuses.
            Temporary: it cannot be reached.
        """
        digest = None
        with translated("push of", f"{repository}:{tag}"):
            stream = self.client.api.push(repository, tag, stream=True, decode=True, auth_config=credentials or None)
            for line in _lines(stream):
                if "error" in line or "errorDetail" in line:
                    message = line.get("error") or line["errorDetail"].get("message", "")
                    raise refused(f"push of {repository}:{tag}", message)
                digest = line.get("aux", {}).get("Digest") or digest
                status = str(line.get("status", ""))
                if found := _DIGEST.search(status):
                    digest = found[1]
                wrote(status)
        return digest

    def tag(self, reference: str, repository: str, tag: str) -> None:
        """Give an image that is here another name."""
        with translated("image", reference):
            self.client.images.get(reference).tag(repository, tag)

    def run(self, reference: str, command: list[str]) -> str:
        """What a command in an image writes to stdout."""
        with translated("run of", reference):
            return str(self.client.containers.run(reference, command, remove=True, network_mode="none").decode())


def refused(what: str, message: str) -> errors.PrivateKubeError:
    """What a registry's or an engine's words come to: refused to this person, out of reach, or neither."""
    words, lower = _one_line(message), message.lower()
    if any(sign in lower for sign in ("unauthorized", "authentication required", "denied", "forbidden")):
        return errors.InvalidInput(f"{what}: is refused ({words}); log in: docker login, or podman login")
    if any(sign in lower for sign in ("refused", "no such host", "timeout", "timed out", "eof", "unreachable")):
        return errors.Temporary(f"{what}: the registry cannot be reached ({words}); check its address and the network")
    return errors.InvalidInput(f"{what}: failed ({words}); see the engine's log")


@contextlib.contextmanager
def translated(what: str, reference: str) -> Iterator[None]:
    """Translate what the SDK raises, once."""
    try:
        yield
    except docker_errors.APIError as error:
        raise refused(f"{what} {reference}", str(error.explanation or error)) from error
    except (docker_errors.DockerException, requests.RequestException) as error:
        raise errors.Temporary(f"{what} {reference}: the engine went away {_reason(error)}; start it again") from error


def _lines(stream: Iterator[Any]) -> Iterator[dict[str, Any]]:
    return (line for line in stream if isinstance(line, dict))


def _reason(error: BaseException) -> str:
    """The words of the operating system below the SDK's layers."""
    text = str(error)
    for sign, words in (
        ("Permission denied", "refuses you (permission denied)"),
        ("No such file", "is not there"),
        ("Connection refused", "does not answer"),
        ("FileNotFoundError", "is not there"),
    ):
        if sign in text:
            return words
    return f"({_one_line(text)})"


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:297]}..."
