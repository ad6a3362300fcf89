"""A person at the Identity-Aware Proxy: once in a browser, then by the refresh token that is kept.

The browser returns to this machine (loopback redirect with PKCE: RFC 8252, RFC 7636). The refresh token is kept below
`.privatekube`, for this very pair of OAuth clients: other secrets never get an old one.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import sys
import webbrowser
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from privatekube import errors
from privatekube.kubeflow import web as http_web
from privatekube.kubeflow.sign_in import iap, id_token
from privatekube.kubeflow.sign_in.credentials import Credentials, RenewedToken
from privatekube.kubeflow.sign_in.secret import Secret
from privatekube.kubeflow.sign_in.settings import Settings
from privatekube.kubeflow.web import Request, Web
from privatekube.storage import private_files

KEPT = private_files.HOME / "sign-in.json"
WAIT_SECONDS = 300
"""How long to wait for the person."""


class Iap(Settings):
    """IAP with a person.

    Args:
        kind: `iap`.
        client_id: OAuth client of the proxy, which is the audience of the token.
        desktop_client_id: OAuth client of the type Desktop app.
        desktop_client_secret: its secret, or where it is.
        authorization_url: page that the person signs in on.
        token_url: where the code is exchanged.
    """

    kind: Literal["iap"]
    client_id: str
    desktop_client_id: str
    desktop_client_secret: Secret
    authorization_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, not a password

    def credentials(self, web: Web, *, host: str, folder: Path) -> Credentials:
        """Return the credentials."""
        del host, folder, web
        return RenewedToken(_Person(self).id_token, remedy="check client_id, and that you may pass the proxy")


class _Person:
    """Gets ID tokens for a person.

    Args:
        settings: the OAuth clients.
    """

    def __init__(self, settings: Iap) -> None:
        self._settings, self._web = settings, Web()

    def id_token(self) -> str:
        refresh_token = self._kept() or self._sign_in()
        try:
            token = self._exchange({"grant_type": "refresh_token", "refresh_token": refresh_token})
        except errors.InvalidInput:
            self._keep(None)  # revoked or expired: the next call asks the person again
            raise
        id_token.require_audience(token, self._settings.client_id, remedy="check client_id")
        return token

    def _exchange(self, form: dict[str, str]) -> str:
        return iap.id_token_of(self._post(form), remedy="check the desktop client and its secret, then sign in again")

    def _post(self, form: dict[str, str]) -> requests.Response:
        client = {
            "client_id": self._settings.desktop_client_id,
            "client_secret": self._settings.desktop_client_secret.read("sign_in: desktop_client_secret"),
            "audience": self._settings.client_id,
        }
        return self._web.send(Request("POST", self._settings.token_url, form=client | form), what="sign_in: token_url")

    def _sign_in(self) -> str:
        """Have the person sign in, and return the refresh token after keeping it."""
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        with _Receiver() as receiver:
            redirect = f"http://127.0.0.1:{receiver.server_port}"
            query = {
                "client_id": self._settings.desktop_client_id,
                "response_type": "code",
                "scope": "openid email",
                "access_type": "offline",
                "prompt": "consent",
                "redirect_uri": redirect,
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
            url = f"{self._settings.authorization_url}?{urlencode(query)}"
            sys.stderr.write(f"sign in with your browser: {url}\n")
            sys.stderr.flush()
            webbrowser.open_new_tab(url)
            code = receiver.code(state)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        response = self._post(form)
        iap.id_token_of(response, remedy="check the desktop client and its secret")
        refresh_token = (http_web.document(response) or {}).get("refresh_token")
        if not isinstance(refresh_token, str):
            raise errors.InvalidInput("sign_in: the server gave no refresh token; use a client of type Desktop app")
        self._keep(refresh_token)
        return refresh_token

    @property
    def _name(self) -> str:
        """A name of these settings that tells others apart and none of their secrets."""
        client_secret = self._settings.desktop_client_secret.read("sign_in: desktop_client_secret")
        parts = (self._settings.client_id, self._settings.desktop_client_id, self._settings.token_url, client_secret)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _all_kept(self) -> dict[str, str]:
        try:
            document = json.loads(KEPT.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _kept(self) -> str | None:
        return self._all_kept().get(self._name)

    def _keep(self, refresh_token: str | None) -> None:
        kept = {name: value for name, value in self._all_kept().items() if name != self._name}
        if refresh_token is not None:
            kept[self._name] = refresh_token
        private_files.write(KEPT, json.dumps(kept).encode())


class _Receiver(http.server.HTTPServer):
    """Receives the browser that comes back with a code, on a free port of loopback."""

    timeout = WAIT_SECONDS

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.query: dict[str, list[str]] | None = None

    def code(self, state: str) -> str:
        """Return the code.

        Raises:
            InvalidInput: nobody signed in, the person refused, or the answer belongs to another request.
        """
        while self.query is None:
            self.handle_request()
            if self.query is None and self.timed_out:
                raise errors.InvalidInput(f"sign_in: nobody signed in within {WAIT_SECONDS} s; start again")
        if self.query.get("state") != [state] or "code" not in self.query:
            raise errors.InvalidInput("sign_in: the browser came back without a code of this sign-in; start again")
        return self.query["code"][0]

    timed_out = False

    def handle_timeout(self) -> None:
        self.timed_out = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Receiver

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if query:  # not the icon that a browser asks for
            self.server.query = query
        body = b"You are signed in. Close this window."
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing: the request has the code."""
