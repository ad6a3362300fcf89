"""The door of a shared page: visitors bring their own token of the cluster, in a header or once in a form.

A proxy that signs users in (OpenID Connect) sends the header `Authorization: Bearer`. Without one, the form keeps the
token in the memory of this process, for the visitor who has the cookie.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from privatekube import errors
from privatekube.page import guard, rendering
from privatekube.page.readers import Readers
from privatekube.page.sessions import Sessions

COOKIE = "privatekube-session"
_LONGEST_TOKEN = 32_768
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""How RFC 6750 writes a bearer token."""


class SignIn:
    """Lets in every user of a cluster, each with a reader of their own.

    Args:
        readers: of the visitors.
        sessions: of those who gave their token in the form.
        hosts: the names under which visitors reach the page, beside localhost and addresses.
    """

    entrance = "it under a name that --allow-host has"

    def __init__(self, readers: Readers, sessions: Sessions, *, hosts: Collection[str] = ()) -> None:
        self._readers, self._sessions, self._hosts = readers, sessions, hosts
        self._form = rendering.environment().get_template("sign_in.html")

    def is_known_host(self, header: str) -> bool:
        """Return whether a Host header names this page."""
        return guard.names_host(header, self._hosts, only_loopback=False)

    async def admit(self, scope: Scope, receive: Receive) -> Response | None:
        """Return None for a request of a visitor who may read something, and for one of a style sheet."""
        request = Request(scope, receive)
        match scope["method"], scope["path"]:
            case "POST", "/sign-in":
                return await self._sign_in(request)
            case "POST", "/sign-out":
                return self._sign_out(request)
            case "GET" | "HEAD", "/sign-in":
                return self._answer("", HTTPStatus.OK)
            case "GET" | "HEAD", path if path.startswith("/static/"):
                return None
        return await self._let_in(request)

    async def _let_in(self, request: Request) -> Response | None:
        """Set the reader of a request's visitor."""
        header = _bearer(request)
        token = self._sessions.token(request.cookies.get(COOKIE, "")) if header is None else header
        if token is None:
            return self._answer("", HTTPStatus.UNAUTHORIZED)
        try:
            request.state.reader = await self._readers.current(_require_token(token))
        except errors.PrivateKubeError as error:
            return self._refusal(request, error)
        request.state.has_session = header is None
        return None

    async def _sign_in(self, request: Request) -> Response:
        """Begin a session for a token that the cluster accepts."""
        try:
            _require_own_form(request)
            token = _require_token(await _posted_token(request))
            await self._readers.current(token)
        except errors.PrivateKubeError as error:
            return self._refusal(request, error)
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.set_cookie(
            COOKIE,
            self._sessions.begin(token),
            max_age=round(self._sessions.seconds),
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
        return response

    def _sign_out(self, request: Request) -> Response:
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    def _refusal(self, request: Request, error: errors.PrivateKubeError) -> Response:
        if isinstance(error, errors.Unauthenticated):
            self._sessions.end(request.cookies.get(COOKIE, ""))
            return self._answer("token: is wrong or has expired; get a new one", HTTPStatus.UNAUTHORIZED)
        return self._answer(str(error), guard.status_of(error))

    def _answer(self, line: str, status: HTTPStatus) -> Response:
        """Return the form, with what is wrong."""
        text = self._form.render(line=line, hours=round(self._sessions.seconds / 3600))
        headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
        return HTMLResponse(text, status, headers)


def _bearer(request: Request) -> str | None:
    """Return the token in the header of a request; None if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _require_token(token: str) -> str:
    if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise errors.Unauthenticated("token: is not one of a cluster")
    return token


def _require_own_form(request: Request) -> None:
    """Refuse a form of another site, which would sign its visitor in as somebody else; browsers say where it is."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise errors.Forbidden("sign-in: comes from another site; sign in here")


async def _posted_token(request: Request) -> str:
    """Return the token in the form that was sent."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > 2 * _LONGEST_TOKEN:
                break
    except ClientDisconnect as error:
        raise errors.StoreBusy("sign-in: was not sent to its end; send it again") from error
    return parse_qs(body[: 2 * _LONGEST_TOKEN].decode("ascii", "replace")).get("token", [""])[0].strip()
