"""Who may see the page: requests for this host, with the token or the cookie that the token gives, that only read.

A page of another site cannot read it: its requests carry no cookie (SameSite=Strict), and a name that is made to lead
here (DNS rebinding) is refused. Nothing that is shown can run a script: the policy of the content allows the script of
this page alone, and no inline one.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import URL, Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"  # noqa: S105 - the name of the parameter, not a token
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What a visitor needs.

    Args:
        host: that the page listens on, as its user wrote it.
        token: what the address has that is printed.
        cookie: the name of the cookie; browsers give those of one host to all of its ports.
        session: the value of the cookie.
    """

    host: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = "privatekube-page"
    session: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def is_known_host(self, header: str) -> bool:
        """Return whether a Host header names this page: by `host`, as localhost, or by an address.

        Only a name can be made to lead here, not an address. A page on a loopback address takes only those.

        >>> access = Access("127.0.0.1", token="t")
        >>> [access.is_known_host(host) for host in ("localhost:80", "[::1]:80", "192.0.2.1", "attacker.example")]
        [True, True, False, False]
        """
        name = header.rpartition(":")[0] if not header.endswith("]") and ":" in header else header
        name = name.strip("[]").lower()
        if name in {"localhost", self.host.lower()}:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or not self.is_loopback)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        address = _address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback


class Guard:
    """An ASGI application that lets requests through to another one if they may see it."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._answer(scope)
            await (answer or self._app)(scope, receive, _with_headers(send))

    def _answer(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is not handed on; None to hand it on."""
        headers = Headers(scope=scope)
        if not self._access.is_known_host(headers.get("host", "")):
            return _refusal("host: is not this page's; open the address that privatekube serve printed", 421)
        if scope["method"] not in {"GET", "HEAD"}:
            return _refusal("method: this page only reads; use the command privatekube", 405)
        given = QueryParams(scope["query_string"]).get(TOKEN)
        if given is not None and _is_same(given, self._access.token):
            return self._entrance(scope)
        session = cookie_parser(headers.get("cookie", "")).get(self._access.cookie, "")
        if given is None and _is_same(session, self._access.session):
            return None
        fault = "is missing" if given is None else "is wrong"
        return _refusal(f"token: {fault}; open the address that privatekube serve printed", 401)

    def _entrance(self, scope: Scope) -> Response:
        """Give the cookie, and lead to the same address without the token, which then is not in the history."""
        url = URL(scope=scope).remove_query_params(TOKEN)
        path = "/" + url.path.lstrip("/\\")  # two slashes would lead to another host
        response = RedirectResponse(f"{path}?{url.query}" if url.query else path, HTTPStatus.SEE_OTHER)
        response.set_cookie(self._access.cookie, self._access.session, httponly=True, samesite="strict")
        return response


def _refusal(line: str, status: int) -> Response:
    return PlainTextResponse(f"error: {line}\n", status)


def _is_same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _with_headers(send: Send) -> Send:
    """Return a `send` that adds `HEADERS` to every answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add(MutableHeaders(scope=message), HEADERS.items())
        await send(message)

    return send_with_headers


def _add(headers: MutableHeaders, more: Iterable[tuple[str, str]]) -> None:
    for name, value in more:
        headers[name] = value
