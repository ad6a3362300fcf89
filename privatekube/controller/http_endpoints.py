"""The HTTP endpoints of a daemon: probes, and the metrics of the controller."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Mapping
from typing import Any

from privatekube import errors

TEXT = "text/plain; version=0.0.4; charset=utf-8"
Endpoint = Callable[[], tuple[int, bytes]]
"""Returns the HTTP status and the body."""


def serve(host: str, port: int, endpoints: Mapping[str, Endpoint]) -> http.server.ThreadingHTTPServer:
    """Serve `endpoints` by path, in separate threads, and return the server.

    Args:
        host: the address to listen on.
        port: 0 for any free port; the server knows which one it is.
        endpoints: by path.

    Raises:
        InvalidInput: the address cannot be listened on.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers GET."""

        def do_GET(self) -> None:
            """Answer from the endpoint of the requested path."""
            endpoint = endpoints.get(self.path.partition("?")[0])
            status, body = (404, b"not found\n") if endpoint is None else endpoint()
            self.send_response(status)
            self.send_header("Content-Type", TEXT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
            """Log nothing: probes arrive every few seconds."""

    try:
        server = http.server.ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        fault = f"cannot be listened on ({error.strerror})"
        raise errors.invalid("--listen", f"{host}:{port}", fault, "choose another host or port") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def probe(is_ok: bool) -> tuple[int, bytes]:
    """Return the answer of an endpoint that is a probe."""
    return (200, b"ok\n") if is_ok else (503, b"not ok\n")


def address(listen: str) -> tuple[str, int]:
    """Return the host and the port in the value of the option --listen.

    Raises:
        InvalidInput: it is not an address.
    """
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65_535:
        raise errors.invalid("--listen", listen, "is not an address", "write host:port, such as 0.0.0.0:8080")
    return host.strip("[]"), int(port)
