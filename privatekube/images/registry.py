"""Ask a registry for the digest of a manifest (OCI distribution, HEAD manifests).

The credentials are those of `docker login` or `podman login`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import requests
from docker import auth

from privatekube import errors

Credentials = dict[str, str]
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
REPOSITORY = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_SECONDS = 30
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


def require_name(repository: str) -> str:
    """Check a registry and prefix, and return it.

    Raises:
        InvalidInput: it does not have that form.
    """
    if not REPOSITORY.fullmatch(repository):
        raise errors.invalid(
            "registry", repository, "must be HOST[:PORT][/PREFIX] in lower case", "e.g. registry.example.org/team"
        )
    return repository


def credentials(repository: str) -> Credentials:
    """Return user and password for the registry of a repository; empty without a login."""
    host, _ = auth.resolve_repository_name(repository)
    for path in _credential_files():
        login = auth.load_config(path).resolve_authconfig(host)
        if login:
            return {key: value for key, value in login.items() if isinstance(value, str)}
    return {}


def digest(repository: str, tag: str, login: Credentials) -> str | None:
    """Return the digest of the manifest of that tag; None if there is no such tag.

    Raises:
        InvalidInput: the registry denies access.
        Temporary: it cannot be reached.
    """
    host, path = auth.resolve_repository_name(repository)
    response = _head(_host(host), f"/v2/{path}/manifests/{tag}", login)
    if response.status_code == requests.codes.not_found:
        return None
    if response.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
        raise errors.InvalidInput(
            f"registry: {host} denies access to {path} ({response.status_code}); "
            f"log in: docker login {host}, or podman login"
        )
    content_digest = response.headers.get("Docker-Content-Digest")
    if not response.ok or not content_digest:
        raise errors.Temporary(f"registry: {host} answered {response.status_code} for {path}:{tag}; try again")
    return content_digest


def _head(host: str, path: str, login: Credentials) -> requests.Response:
    problem: requests.RequestException | None = None
    for scheme in _schemes(host):
        url = f"{scheme}://{host}{path}"
        headers = {"Accept": MANIFESTS}
        try:
            response = requests.head(url, headers=headers, timeout=_SECONDS)
            if response.status_code == requests.codes.unauthorized:
                headers["Authorization"] = _authorization(response.headers.get("WWW-Authenticate", ""), login)
                response = requests.head(url, headers=headers, timeout=_SECONDS)
        except requests.RequestException as error:
            problem = error
            continue
        return response
    raise errors.Temporary(
        f"registry: {host} cannot be reached ({type(problem).__name__}); check its address and the network"
    ) from problem


def _authorization(challenge: str, login: Credentials) -> str:
    """Return the answer to a registry's challenge: the password itself, or a token obtained with it."""
    pair = (login.get("username", ""), login.get("password", ""))
    if not challenge.lower().startswith("bearer"):
        return requests.Request("HEAD", "http://x", auth=pair).prepare().headers["Authorization"]
    parameters = dict(_CHALLENGE.findall(challenge))
    realm = parameters.pop("realm", "")
    response = requests.get(realm, params=parameters, auth=pair if login else None, timeout=_SECONDS)
    document = response.json() if response.ok else {}
    return f"Bearer {document.get('token') or document.get('access_token') or ''}"


def _host(name: str) -> str:
    return "registry-1.docker.io" if name == "docker.io" else name


def _schemes(host: str) -> tuple[str, ...]:
    """Return the schemes to try: plain HTTP on loopback only."""
    return ("http", "https") if re.match(r"(localhost|127\.[0-9.]+)(:|$)", host) else ("https",)


def _credential_files() -> Iterator[str | None]:
    """Yield the files that keep logins: Docker's own (None), then Podman's."""
    yield None
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/containers/{os.getuid()}")
    for path in (os.environ.get("REGISTRY_AUTH_FILE"), f"{runtime}/containers/auth.json", f"{runtime}/auth.json"):
        if path and Path(path).is_file():
            yield path
