"""An engine with one container that writes nothing for a while: until then, a request to follow gets no answer.

Podman 4.3 sends not even the head of its answer before the first line.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

CONTAINER = {"Id": "c", "State": {"Status": "running"}, "Config": {"Tty": False}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    silent_seconds: float

    def log_message(self, *_: object) -> None:
        """Write nothing."""

    def address_string(self) -> str:
        """Return no address: a socket in the file system has none."""
        return ""

    def do_GET(self) -> None:
        if "/logs" not in self.path:
            return self._answer(json.dumps(CONTAINER).encode())
        time.sleep(self.silent_seconds)
        line = b"noisy step 1 of 4\n"
        return self._answer(struct.pack(">BxxxL", 1, len(line)) + line)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(json.dumps({"StatusCode": 3} if self.path.endswith("/wait") else CONTAINER).encode())

    def do_DELETE(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200 if body else 204)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving(folder: Path, *, silent_seconds: float) -> Iterator[str]:
    """Serve such an engine on a socket in `folder`, and yield its address."""
    handler = type("Handler", (_Handler,), {"silent_seconds": silent_seconds})
    path = folder / "engine.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()
