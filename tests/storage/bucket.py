"""A bucket on a storage server on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from gcp_storage_emulator.server import create_server


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve an empty bucket, and yield its URI."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        server.start()
        yield "gs://bucket"
        server.stop()
