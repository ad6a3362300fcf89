"""A controller's concurrent writes, without an API server."""

from __future__ import annotations

import threading

import pytest
from kubernetes import client

from privatekube import errors
from privatekube.store.kubernetes.controller_store import ControllerStore
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.kubernetes.controller_stores import RecordingObserver


def test_no_write_is_in_progress_any_more_when_one_has_failed() -> None:
    api = client.ApiClient()
    store = ControllerStore(Cluster(api), CoreObjects(api), RecordingObserver(), lambda: 0)
    has_failed, written = threading.Event(), []

    def fail() -> None:
        has_failed.set()
        raise errors.InvalidInput("claim: is too large")

    def write(name: str) -> None:
        has_failed.wait()
        threading.Event().wait(0.05)
        written.append(name)

    calls = [fail, *[lambda name=name: write(name) for name in "abcdefghijkl"]]  # more than write at once
    with pytest.raises(errors.InvalidInput, match="too large"):
        store.concurrently(calls)
    assert sorted(written) == list("abcdefghijkl")
    store.drain()
