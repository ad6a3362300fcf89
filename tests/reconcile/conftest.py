"""Fixtures of the tests of passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock
from tests.reconcile.harness import Plane


@pytest.fixture(params=["sqlite", "memory"])
def plane(request: pytest.FixtureRequest) -> Plane:
    """Return a control plane on an empty store, of each embedded kind."""
    clock = FakeClock()
    store = MemoryStore(clock) if request.param == "memory" else SqliteStore(Path(":memory:"), clock=clock)
    return Plane(store, clock=clock)
