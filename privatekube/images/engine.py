"""Docker or Podman, whichever answers: build and push images, and report a failure in one line.

The docker SDK talks to both. It does not raise when a push or a step of a build fails: each line of the stream that the
engine answers with is checked.
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
    """A step of a Dockerfile failed; `tail` holds the last lines of its output."""

    def __init__(self, message: str, tail: tuple[str, ...]) -> None:
        super().__init__(message)
        self.tail = tail


def sockets(choice: str) -> list[str]:
    """Return the addresses at which an engine may answer, in the order in which they are tried."""
    host = os.environ.get("DOCKER_HOST")
    if choice == AUTO and host:
        return [host]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = [f"unix://{folder}/podman/podman.sock" for folder in (runtime, "/run") if folder]
    return {DOCKER: [_DOCKER_SOCKET], PODMAN: podman, AUTO: [_DOCKER_SOCKET, *podman]}[choice]


def connect(choice: str = AUTO) -> Engine:
    """Connect to the first engine that answers.

    Raises:
        InvalidInput: no engine answers.
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
        """Return the id of an image of this engine; None if it does not have the image."""
        with translate_errors("image", reference):
            try:
                return str(self.client.images.get(reference).id)
            except docker_errors.ImageNotFound:
                return None

    def require(self, reference: str) -> str:
        """Pull an image if it is missing, and return its id.

        Raises:
            InvalidInput: it cannot be pulled.
        """
        identity = self.identity(reference)
        if identity is None:
            with translate_errors("base image", reference):
                identity = str(self.client.images.pull(reference).id)
        return identity

    def build(
        self, context: Context, reference: str, arguments: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        """Build an image and tag it; `on_line` is called with each line of output.

        Raises:
            BuildFailed: a step failed.
        """
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with translate_errors("build of", reference):
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
                        on_line(text.strip())

    def push(self, repository: str, tag: str, credentials: Credentials, on_line: Callable[[str], None]) -> str | None:
        """Push an image and return its digest in the registry as the engine reports it, if it does.

        Raises:
            InvalidInput: the registry refuses.
            Temporary: it cannot be reached.
        """
        digest = None
        with translate_errors("push of", f"{repository}:{tag}"):
            stream = self.client.api.push(repository, tag, stream=True, decode=True, auth_config=credentials or None)
            for line in _lines(stream):
                if "error" in line or "errorDetail" in line:
                    message = line.get("error") or line["errorDetail"].get("message", "")
                    raise refusal(f"push of {repository}:{tag}", message)
                digest = line.get("aux", {}).get("Digest") or digest
                status = str(line.get("status", ""))
                if match := _DIGEST.search(status):
                    digest = match[1]
                on_line(status)
        return digest

    def tag(self, reference: str, repository: str, tag: str) -> None:
        """Give an image of this engine another name."""
        with translate_errors("image", reference):
            self.client.images.get(reference).tag(repository, tag)

    def run(self, reference: str, command: list[str]) -> str:
        """Run a command in an image and return what it writes to stdout."""
        with translate_errors("run of", reference):
            return str(self.client.containers.run(reference, command, remove=True, network_mode="none").decode())


def refusal(action: str, message: str) -> errors.PrivateKubeError:
    """Return the error for a message of a registry or an engine: access denied, unreachable, or another failure."""
    words, lower = _one_line(message), message.lower()
    if any(sign in lower for sign in ("unauthorized", "authentication required", "denied", "forbidden")):
        return errors.InvalidInput(f"{action}: is refused ({words}); log in: docker login, or podman login")
    if any(sign in lower for sign in ("refused", "no such host", "timeout", "timed out", "eof", "unreachable")):
        return errors.Temporary(
            f"{action}: the registry cannot be reached ({words}); check its address and the network"
        )
    return errors.InvalidInput(f"{action}: failed ({words}); see the engine's log")


@contextlib.contextmanager
def translate_errors(action: str, reference: str) -> Iterator[None]:
    """Translate the errors of the SDK into those of this project."""
    try:
        yield
    except docker_errors.APIError as error:
        raise refusal(f"{action} {reference}", str(error.explanation or error)) from error
    except (docker_errors.DockerException, requests.RequestException) as error:
        raise errors.Temporary(f"{action} {reference}: the engine {_reason(error)}; start it again") from error


def _lines(stream: Iterator[Any]) -> Iterator[dict[str, Any]]:
    return (line for line in stream if isinstance(line, dict))


def _reason(error: BaseException) -> str:
    """Return the reason that the operating system gave, which the SDK wraps several times."""
    text = str(error)
    for sign, words in (
        ("Permission denied", "refuses access (permission denied)"),
        ("No such file", "does not exist"),
        ("Connection refused", "does not answer"),
        ("FileNotFoundError", "does not exist"),
    ):
        if sign in text:
            return words
    return f"failed ({_one_line(text)})"


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:297]}..."
