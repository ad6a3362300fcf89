"""What the tests of passes share."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests.reconcile.harness import Plane


@pytest.fixture(params=["sqlite", "memory"])
def plane(request: pytest.FixtureRequest) -> Plane:
    """An empty store of each embedded kind."""

    def clock() -> int:
        return 1000

    return Plane(MemoryStore(clock) if request.param == "memory" else SqliteStore(Path(":memory:"), clock=clock))
