"""The visitors of a cluster's page, each of whom reads the API server with their own token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from privatekube import errors
from privatekube.client import cluster
from privatekube.page.reader import Source
from privatekube.page.readers import Readers
from privatekube.page.sessions import Sessions
from privatekube.page.sign_in import SignIn

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
        if urlsplit(self.server).scheme != "https":
            raise errors.invalid("--server", self.server, "is not an https URL", "tokens are sent to no other")
        if not self.certificate_authority.is_file():
            raise errors.invalid(
                "--certificate-authority",
                str(self.certificate_authority),
                "is not a file",
                "name one with certificates",
            )

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


def door(place: Cluster, *, most: int, hosts: Collection[str] = ()) -> SignIn:
    """Return the door of a cluster's page.

    Args:
        place: the cluster.
        most: how many visitors are served at once.
        hosts: the names under which they reach the page.
    """
    sessions = Sessions(seconds=_SESSION_SECONDS, most=_SESSIONS_PER_VISITOR * most)
    return SignIn(Readers(place.source, most=most), sessions, hosts=hosts)
