"""Admit to the page of one store the visitors who open the printed address: its token is exchanged for a cookie."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import URL, Headers, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope

from privatekube.page import guard
from privatekube.page.reader import Reader

TOKEN = "token"  # noqa: S105 - the name of the parameter, not a token


@dataclass(frozen=True, slots=True)
class Access:
    """What a visitor needs.

    Args:
        host: the host that the page listens on, as its user wrote it.
        token: the token in the printed address.
        cookie: the name of the cookie; browsers send the cookies of a host to all of its ports.
        session: the value of the cookie.
    """

    host: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = "privatekube-page"
    session: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        address = guard.address_of(self.host)
        return self.host == "localhost" if address is None else address.is_loopback


@dataclass(frozen=True, slots=True)
class AddressToken:
    """Lets in every visitor who has the token or the cookie; all of them see the same store.

    Args:
        access: what a visitor needs.
        reader: of the store.
    """

    access: Access
    reader: Reader

    @property
    def entrance(self) -> str:
        """What to open."""
        return "the address that privatekube serve printed"

    def is_known_host(self, header: str) -> bool:
        """Return whether a Host header names this page: by the host that it listens on, or by an address."""
        return guard.names_host(header, {self.access.host}, only_loopback=self.access.is_loopback)

    async def admit(self, scope: Scope, _: Receive) -> Response | None:
        """Return None for a request with the cookie, and the answer to any other request."""
        given = QueryParams(scope["query_string"]).get(TOKEN)
        if given is not None and _is_same(given, self.access.token):
            return self._to_the_page(scope)
        session = cookie_parser(Headers(scope=scope).get("cookie", "")).get(self.access.cookie, "")
        if given is None and _is_same(session, self.access.session):
            scope.setdefault("state", {})["reader"] = self.reader
            return None
        fault = "is missing" if given is None else "is wrong"
        return guard.refusal(f"token: {fault}; open {self.entrance}", HTTPStatus.UNAUTHORIZED)

    def _to_the_page(self, scope: Scope) -> Response:
        """Set the cookie and redirect to the same address without the token, which keeps it out of the history."""
        url = URL(scope=scope).remove_query_params(TOKEN)
        path = "/" + url.path.lstrip("/\\")  # two slashes would lead to another host
        response = RedirectResponse(f"{path}?{url.query}" if url.query else path, HTTPStatus.SEE_OTHER)
        response.set_cookie(self.access.cookie, self.access.session, httponly=True, samesite="strict")
        return response


def _is_same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())
