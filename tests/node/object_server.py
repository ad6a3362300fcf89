"""A program that serves buckets in a node's network: an emulator of Google Cloud Storage, and moto, which speaks S3.

The one that speaks S3 answers requests with its access key only. usage: python -m tests.node.object_server HOST
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

GOOGLE_PORT, AMAZON_PORT = 5001, 5002
ACCESS_KEY, SECRET_KEY = "AKIAOFTHENODE", "of-the-node"
"""The key of the server that speaks S3; it compares the first half and does not check the signature."""


def main(host: str) -> None:
    """Serve until the process is terminated."""
    from gcp_storage_emulator.server import create_server
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    create_server(host, GOOGLE_PORT, in_memory=True).start()
    run_simple(host, AMAZON_PORT, _checked(DomainDispatcherApplication(create_backend_app)), threaded=True)


def _checked(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return the application behind a check of the access key, in the header or in a signed URL."""

    def answer(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if ACCESS_KEY in request.get("HTTP_AUTHORIZATION", "") + request["QUERY_STRING"]:
            return application(request, start)
        start("403 Forbidden", [("Content-Type", "application/xml")])
        return [b"<Error><Code>InvalidAccessKeyId</Code></Error>"]

    return answer


if __name__ == "__main__":
    main(sys.argv[1])
