"""The visitors of a cluster's page, each of whom reads the API server with their own token."""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from privatekube import errors, validation
from privatekube.client import cluster
from privatekube.page.reader import Source
from privatekube.page.readers import Readers
from privatekube.page.sessions import Sessions
from privatekube.page.sign_in import SignIn

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_SESSION_SECONDS = 8 * 3600
_SESSIONS_PER_VISITOR = 8
"""A visitor signs in from several browsers, and again when a token has expired."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where visitors read.

    Args:
        server: URL of the API server.
        certificate_authority: the file that its certificate is checked with.
        namespaces: those to look into for a visitor who may not read all; none for those that the visitor may list.
    """

    server: str
    certificate_authority: Path
    namespaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _is_server(self.server):
            shown = re.sub("//.*@", "//...@", self.server)  # what a user names before it is a password
            bound = "is not an https URL of a host, without a user and a query"
            raise errors.invalid("--server", shown, bound, "write it like https://HOST:6443")
        authority = str(self.certificate_authority)
        if not self.certificate_authority.is_file():
            raise errors.invalid("--certificate-authority", authority, "is not a file", "name one with certificates")
        try:
            ssl.create_default_context(cafile=authority)
        except OSError:  # SSLError is one
            raise errors.invalid(
                "--certificate-authority", authority, "has no certificates that can be read", "name a PEM file"
            ) from None
        for namespace in self.namespaces:
            if not _NAMESPACE.fullmatch(namespace):
                raise errors.invalid("--namespace", namespace, f"must be {validation.LABEL}", "correct it")

    def source(self, token: str) -> Source:
        """Return the cluster as the user of a token sees it.

        Raises:
            Unauthenticated: the cluster does not accept the token.
        """
        client, objects = cluster.connect_to_read(
            token,
            server=self.server,
            certificate_authority=self.certificate_authority,
            namespaces=self.namespaces,
        )
        return Source(client, f"kubernetes as {client.store.user()}", objects.gaps)


def _is_server(url: str) -> bool:
    """Return whether a URL is one of a host that tokens may be sent to, without a user, a query or a fragment."""
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0  # raises for one above 65535
    except ValueError:
        return False
    is_plain = not ("@" in parts.netloc or parts.query or parts.fragment)
    return parts.scheme == "https" and bool(parts.hostname) and has_port and is_plain


def door(place: Cluster, *, most: int, hosts: Collection[str] = ()) -> SignIn:
    """Return the door of a cluster's page.

    Args:
        place: the cluster.
        most: how many visitors are served at once.
        hosts: the names under which they reach the page.

    Raises:
        InvalidInput: one of the names is not one of a host.
    """
    for host in hosts:
        if not _HOST.fullmatch(host):
            remedy = "write it like page.example.org, without scheme, port and path"
            raise errors.invalid("--allow-host", host, "is not the name of a host", remedy)
    sessions = Sessions(seconds=_SESSION_SECONDS, most=_SESSIONS_PER_VISITOR * most)
    return SignIn(Readers(place.source, most=most), sessions, hosts=hosts)
