"""A proxy in front of a real registry that reports wrong digests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.images import servers

WRONG = "sha256:" + "0" * 64
_OF_ONE_HOP = {"Content-Length", "Transfer-Encoding", "Connection"}


class LyingRegistry(BaseHTTPRequestHandler):
    """A proxy that reports a wrong digest for each tag, and passes everything else on."""

    behind = ""

    def forward(self) -> None:
        answer = requests.request(
            self.command,
            f"http://{self.behind}{self.path}",
            data=self._body(),
            headers={key: value for key, value in self.headers.items() if key not in _OF_ONE_HOP},
            allow_redirects=False,
            timeout=60,
        )
        self.send_response(answer.status_code)
        for key, value in answer.headers.items():
            is_digest = self.command == "HEAD" and "/manifests/" in self.path and key == "Docker-Content-Digest"
            if key not in {"Transfer-Encoding", "Connection"}:
                self.send_header(key, WRONG if is_digest else value)
        self.end_headers()
        self.wfile.write(answer.content)

    def _body(self) -> bytes:
        """Read the body of the request, of known length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = forward  # noqa: N815 - http.server's names

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


@contextlib.contextmanager
def serve(behind: str) -> Iterator[str]:
    """Serve such a proxy in front of the registry at `behind`; yield host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (LyingRegistry,), {"behind": behind}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        servers.forget(f"localhost:{server.server_port}")
