"""Buckets on storage servers on loopback: an emulator of Google Cloud Storage, and moto's server, which speaks S3."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest
import requests

from tests import ports

SCHEMES = ("gs", "s3")


@contextlib.contextmanager
def served(scheme: str = "gs") -> Iterator[str]:
    """Serve an empty bucket, and yield its URI; the environment leads to it, as it would to the real one."""
    serve = {"gs": _google, "s3": _amazon}[scheme]
    with serve() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in variables(scheme, address).items():
            patch.setenv(name, value)
        yield f"{scheme}://bucket"


def variables(scheme: str, address: str) -> dict[str, str]:
    """Return the environment in which the buckets of a scheme are those of a server."""
    if scheme == "gs":
        return {"STORAGE_EMULATOR_HOST": address}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": address, **keys}


@contextlib.contextmanager
def _google() -> Iterator[str]:
    from gcp_storage_emulator.server import create_server

    with ports.reserved() as port:
        server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
        server.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop()


@contextlib.contextmanager
def _amazon() -> Iterator[str]:
    from moto.backends import get_backend
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        requests.put(f"{address}/bucket", timeout=60).raise_for_status()
        yield address
    finally:
        server.stop()
        get_backend("s3").reset()
