"""Object stores that answer as Google Cloud Storage and S3 do in a bad moment; `bucket.variables` lead to them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """An answer to every request: HTTP status, message and reason."""

    status: int
    message: str
    reason: str


class BadStore(http.server.ThreadingHTTPServer):
    """Gives `refusal` as the answer to all requests after `n_deletions` that were served, and notes them."""

    def __init__(self, refusal: Refusal, n_deletions: int) -> None:
        self.refusal, self.deletions_left = refusal, n_deletions
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BadStore

    def _do(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}")
        if not self.server.deletions_left:
            refusal = self.server.refusal
            fault = {"message": refusal.message, "reason": refusal.reason}
            self._answer(refusal.status, {"error": {"code": refusal.status, **fault, "errors": [fault]}}, refusal)
        elif self.command == "DELETE":
            self.server.deletions_left -= 1
            self._answer(204, None)
        elif self.command == "POST":
            empty = base64.b64encode(hashlib.md5(b"", usedforsecurity=False).digest()).decode()
            self._answer(200, {"kind": "storage#object", "name": "x", "bucket": "b", "size": "0", "md5Hash": empty})
        elif self.path.partition("?")[0].endswith("/o"):
            self._answer(200, {"kind": "storage#objects"})
        else:
            self._answer(404, {"error": {"code": 404, "message": "Not Found"}})

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_PATCH = _do  # noqa: N815 - names of http.server

    def _answer(self, status: int, document: dict[str, Any] | None, refusal: Refusal | None = None) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        is_xml = refusal is not None and "AWS4" in (self.headers.get("Authorization") or "")
        if refusal is not None and is_xml:
            data = f"<Error><Code>{refusal.reason}</Code><Message>{refusal.message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml" if is_xml else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextlib.contextmanager
def serving(refusal: Refusal, *, n_deletions: int = 0) -> Iterator[BadStore]:
    """Yield a store.

    Args:
        refusal: the answer to every request: XML to one that is signed as for S3, else JSON.
        n_deletions: how many deletions are served before: a probe of whether a folder is writable ends with one.
    """
    server = BadStore(refusal, n_deletions)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
