"""A run on two blocks in a store of its own, whose plan is solved once for all tests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privatekube.client import connect, plan_file
from privatekube.privacy import solving
from privatekube.privacy.plan import Plan
from tests import shipped_plan
from tests.components.run_steps import Run, declared_block


@pytest.fixture(scope="session")
def solve() -> Callable[..., solving.SolvedPlan]:
    """`solving.solve`, which is slow, computing each plan once; the plan of most tests before they start."""
    cached = functools.cache(solving.solve)
    plan = plan_file.parse(shipped_plan.TEXT, {"statistics_fraction": 0.05, "sampling_rate": 0.5, "n_epochs": 1})
    assert isinstance(plan, Plan)
    cached(plan, epsilon=1.0, delta=1e-9, max_contribution=1)
    return cached


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solve: Callable[..., solving.SolvedPlan]) -> Iterator[Run]:
    monkeypatch.setattr(solving, "solve", solve)
    uri = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv(connect.STORE, uri)
    with connect.connect(uri) as client:
        client.create_blocks([declared_block(tmp_path, day) for day in range(2)])
        yield Run(tmp_path, client)
