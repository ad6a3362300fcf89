"""A server on loopback whose answers are methods of a class, over TLS if it is given a certificate."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Call:
    """A request: method, path, query, headers in lower case, and body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Reply:
    """What to answer."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def kind(self) -> str:
        return "text/html; charset=utf-8" if isinstance(self.body, bytes) else "application/json"


class LoopbackServer(http.server.ThreadingHTTPServer):
    """Records the calls, and answers each with what `answer` returns."""

    scheme = "http"
    clock_ahead_seconds = 0.0
    daemon_threads = True

    def __init__(self) -> None:
        self.calls: list[Call] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    @property
    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.clock_ahead_seconds

    def answer(self, call: Call) -> Reply:
        raise NotImplementedError

    def handle_error(self, *_: object) -> None:
        """Write nothing: a client that refuses the certificate hangs up."""

    @contextlib.contextmanager
    def serving(self, *, certificate: Path | None = None) -> Iterator[None]:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()
            thread.join(10)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LoopbackServer
    protocol_version = "HTTP/1.0"

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        call = Call(
            self.command,
            parts.path,
            {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        self.server.calls.append(call)
        reply = self.server.answer(call)
        self.send_response_only(reply.status)
        self.send_header("Date", format_datetime(datetime.fromtimestamp(self.server.now, UTC), usegmt=True))
        for name, value in ({"Content-Type": reply.kind} | dict(reply.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.content)

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Write nothing."""
