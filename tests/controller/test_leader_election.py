"""The lease by which one replica leads, where the API server does not answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from kubernetes import client

from privatekube import errors
from privatekube.store.kubernetes.core_objects import CoreObjects


@pytest.fixture
def silent() -> Iterator[CoreObjects]:
    """Return access to a server that accepts connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=9) as server:
        configuration = client.Configuration(host=f"http://127.0.0.1:{server.getsockname()[1]}")
        configuration.retries = False
        with contextlib.closing(client.ApiClient(configuration)) as api:
            yield CoreObjects(api)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("metadata", [{}, {"resourceVersion": "1"}])
def test_no_request_for_the_lease_waits_for_longer_than_its_time_out(
    silent: CoreObjects, metadata: dict[str, str]
) -> None:
    with pytest.raises(errors.StoreBusy, match="the API server cannot be reached"):
        silent.lease("l", "ns", timeout_seconds=0.2)
    with pytest.raises(errors.StoreBusy, match="the API server cannot be reached"):
        silent.write_lease({"metadata": {"name": "l", "namespace": "ns", **metadata}}, timeout_seconds=0.2)
