"""Bearer tokens that others issue: a value, a file, the output of a command, or a pod's projected token."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from privatekube import errors
from privatekube.kubeflow.sign_in import id_token, secret
from privatekube.kubeflow.sign_in.credentials import Credentials, RenewedToken
from privatekube.kubeflow.sign_in.settings import Settings
from privatekube.kubeflow.web import Web

AUDIENCE = "pipelines.kubeflow.org"
PROJECTED = "/var/run/secrets/kubeflow/pipelines/token"
_PATH_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
_COMMAND_SECONDS = 30


class Token(Settings):
    """A bearer token: exactly one of a value, a file that something else keeps fresh, and a command that prints it.

    Args:
        kind: `token`.
        value: the token, or where it is.
        file: file that has it, read for every request.
        command: program and arguments that print it, such as `[gcloud, auth, print-access-token]`.
    """

    kind: Literal["token"]
    value: secret.Secret | None = None
    file: Path | None = None
    command: Annotated[list[str], pydantic.Field(min_length=1)] | None = None

    @pydantic.model_validator(mode="after")
    def _require_one(self) -> Self:
        if sum(source is not None for source in (self.value, self.file, self.command)) != 1:
            raise ValueError("needs exactly one of value, file and command")
        return self

    def credentials(self, _web: Web, *, host: str, folder: Path) -> Credentials:
        """Return the credentials."""
        del host
        if self.command is not None:
            command = self.command
            return RenewedToken(lambda: _printed(command), remedy="check what the command of sign_in prints")
        if self.file is not None:
            path = folder / self.file.expanduser()
            return FileToken(lambda: _one_line(secret.read_private(path, "sign_in: file"), "sign_in: file"))
        value = self.value
        assert value is not None  # noqa: S101 - checked above
        return FileToken(lambda: _one_line(value.read("sign_in: value"), "sign_in: value"))


class InCluster(Settings):
    """The projected token of the pod that this runs in, such as a notebook of Kubeflow.

    Args:
        kind: `in-cluster`.
        file: where the token is mounted. Default: $KF_PIPELINES_SA_TOKEN_PATH, else where Kubeflow mounts it.
    """

    kind: Literal["in-cluster"]
    file: Path | None = None

    def credentials(self, _web: Web, *, host: str, folder: Path) -> Credentials:
        """Return the credentials."""
        del host, folder
        path = self.file or Path(os.environ.get(_PATH_VARIABLE) or PROJECTED)
        return FileToken(lambda: _projected(path))


class NoSignIn(Settings):
    """No credentials: a port that is forwarded, or an installation of one user inside its network.

    Args:
        kind: `none`.
    """

    kind: Literal["none"] = "none"

    def credentials(self, _web: Web, *, host: str, folder: Path) -> Credentials:
        """Return the credentials."""
        del host, folder
        return Nothing()


class FileToken:
    """A token that is read again for every request: something else keeps it fresh.

    Args:
        read: returns the token.
    """

    remedy = "get a new token, and check that it is for this host"

    def __init__(self, read: Any) -> None:
        self._read, self._token = read, None

    def headers(self) -> Mapping[str, str]:
        """Return the token as a bearer token."""
        self._token = self._read()
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        """Return whether the token has changed since it was refused."""
        return bool(self._read() != self._token)

    def token(self) -> str | None:
        """Return the token."""
        return self._token


class Nothing:
    """No credentials."""

    remedy = "choose a way to sign in: set sign_in, see client_secrets.example.yaml"

    def headers(self) -> Mapping[str, str]:
        """Return no header."""
        return {}

    def renew(self) -> bool:
        """Return that there are no others."""
        return False

    def token(self) -> str | None:
        """Return None."""
        return None


def _projected(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.InvalidInput(
            f"sign_in: {path} cannot be read; this kind works in a pod with a projected token for {AUDIENCE}, "
            "see docs/kubeflow.md"
        ) from error
    text = _one_line(token, "sign_in: file")
    id_token.require_audience(text, AUDIENCE, remedy="project a token for that audience, see docs/kubeflow.md")
    return text


def _printed(command: list[str]) -> str:
    """Return what the command prints; what it writes to standard error is not shown: it may hold a secret."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command, without a shell
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise errors.InvalidInput(
            f"sign_in: command {command[0]} did not end within {_COMMAND_SECONDS} s; run it by hand"
        ) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "prints no text").lower()
        raise errors.InvalidInput(f"sign_in: command {command[0]} cannot be used, {reason}; correct it") from None
    if done.returncode:
        raise errors.InvalidInput(
            f"sign_in: command {command[0]} ended with exit status {done.returncode}; run it by hand"
        )
    return _one_line(done.stdout, f"sign_in: command {command[0]}")


def _one_line(text: str, name: str) -> str:
    """Return a token; a header can hold one line of printable ASCII."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise errors.InvalidInput(f"{name}: is not one word of ASCII; a token is one word on one line")
    return token
