"""Answer only requests that are for this host, that only read, and that a door lets in.

A page of another site cannot read this one: its requests carry no cookie (SameSite=Strict), and a foreign name that
resolves to this machine (DNS rebinding) is refused. No text that is shown can run as a script: the content security
policy allows only the script file of this page, and no inline script.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from privatekube import errors

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Door(Protocol):
    """Decides whose requests are answered, and which reader reads for them.

    `address_token.AddressToken` lets in visitors with the address of one store's page; `sign_in.SignIn` lets in each
    user of a cluster.
    """

    @property
    def entrance(self) -> str:
        """What to open, for the message to a request for another host."""

    def is_known_host(self, header: str) -> bool:
        """Return whether a Host header names this page."""

    async def admit(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a request that is not let in.

        For one that is, set `reader` in the request's state, and return None.
        """


class Guard:
    """An ASGI application that passes the requests that are let in to another application."""

    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = await self._answer(scope, receive)
            await (answer or self._app)(scope, receive, _with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a request that is not handed on; None to hand it on."""
        if not self._door.is_known_host(Headers(scope=scope).get("host", "")):
            return refusal(f"host: is not this page's; open {self._door.entrance}", 421)
        answer = await self._door.admit(scope, receive)
        if answer is None and scope["method"] not in {"GET", "HEAD"}:
            return refusal("method: this page only reads; use the command privatekube", 405)
        return answer


def refusal(line: str, status: int) -> Response:
    """Return an answer of one line."""
    return PlainTextResponse(f"error: {line}\n", status)


def status_of(error: Exception) -> HTTPStatus:
    """Return the status of the answer to a request that failed."""
    statuses = {
        errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
        errors.Forbidden: HTTPStatus.FORBIDDEN,
        errors.NotServed: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    }
    return next(
        (status for kind, status in statuses.items() if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE
    )


def names_host(header: str, names: Collection[str], *, only_loopback: bool) -> bool:
    """Return whether a Host header is one of some names, localhost, or an address.

    DNS rebinding makes a foreign name resolve to this machine; it cannot change an address.

    Args:
        header: the name or address, and the port.
        names: of this page.
        only_loopback: whether the page listens on a loopback address, so that no other address leads to it.

    >>> hosts = ("localhost:80", "[::1]:80", "192.0.2.1", "attacker.example", "page.example")
    >>> [names_host(host, {"page.example"}, only_loopback=True) for host in hosts]
    [True, True, False, False, True]
    """
    name = header.rpartition(":")[0] if not header.endswith("]") and ":" in header else header
    name = name.strip("[]").lower()
    if name == "localhost" or name in {known.lower() for known in names}:
        return True
    address = address_of(name)
    return address is not None and (address.is_loopback or not only_loopback)


def address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a name is, or None."""
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
