"""The controller's HTTP: /healthz, /readyz and /metrics."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Mapping
from typing import Any

from privatekube import errors

TEXT = "text/plain; version=0.0.4; charset=utf-8"
Page = Callable[[], tuple[int, bytes]]
"""Gives the status and the body."""


def serve(host: str, port: int, pages: Mapping[str, Page]) -> http.server.ThreadingHTTPServer:
    """Serve `pages` by path, in threads of their own; the server, which says its port and can be closed.

    Raises:
        InvalidInput: nothing can listen there.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers GET."""

        def do_GET(self) -> None:
            """Answer with the page of that path."""
            page = pages.get(self.path.partition("?")[0])
            status, body = (404, b"not found\n") if page is None else page()
            self.send_response(status)
            self.send_header("Content-Type", TEXT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
            """Nothing: probes come every few seconds."""

    try:
        server = http.server.ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise errors.invalid(
            "--listen", f"{host}:{port}", f"cannot be used ({error.strerror})", "choose another"
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
