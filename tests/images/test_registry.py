"""A registry that issues tokens, as public ones do: the login goes to the challenge's realm, which returns a token."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from privatekube import errors
from privatekube.images import registry

DIGEST = "sha256:" + "1" * 64
LOGIN = {"username": "user", "password": "secret"}


class TokenRegistry(BaseHTTPRequestHandler):
    """A registry with one image, team/a:v1, for requests with a token, which the password obtains."""

    def do_GET(self) -> None:
        is_authorized = self.headers.get("Authorization") == f"Basic {base64.b64encode(b'user:secret').decode()}"
        is_token_request = self.path == "/token?service=here&scope=repository%3Ateam%2Fa%3Apull"
        self.send_response(200 if is_authorized and is_token_request else 401)
        self.end_headers()
        if is_authorized and is_token_request:
            self.wfile.write(b'{"token": "sesame"}')

    def do_HEAD(self) -> None:
        exists = self.path == "/v2/team/a/manifests/v1"
        is_allowed = self.headers.get("Authorization") == "Bearer sesame"
        self.send_response((200 if exists else 404) if is_allowed else 401)
        if not is_allowed:
            realm = f"http://localhost:{self.server.server_port}/token"  # type: ignore[attr-defined]  # of HTTPServer
            scope = 'scope="repository:team/a:pull"'
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="here",{scope}')
        elif exists:
            self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenRegistry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_token_is_obtained_with_the_login(host: str) -> None:
    assert registry.digest(f"{host}/team/a", "v1", LOGIN) == DIGEST
    assert registry.digest(f"{host}/team/a", "v2", LOGIN) is None


@pytest.mark.parametrize("login", [{}, LOGIN | {"password": "wrong"}])
def test_a_request_without_a_token_is_denied(host: str, login: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidInput, match=r"denies access to team/a \(401\); log in: docker login localhost"):
        registry.digest(f"{host}/team/a", "v1", login)


def test_plain_http_is_used_on_loopback_only() -> None:
    with pytest.raises(errors.Temporary, match=r"registry: registry\.invalid cannot be reached"):
        registry.digest("registry.invalid/team/a", "v1", {})
    assert registry._schemes("localhost.example.org") == ("https",)
    assert registry._schemes("127.0.0.1:5000") == ("http", "https")
