"""How budget unlocks: on arrival, by time, and alike on blocks and on the rows of a simulated table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube.engine import unlocking
from privatekube.engine.unlocking import TableUnlocking
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import transitions
from privatekube.resources.block import FlowReleasing, PrivateDataBlock
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.policy import Policy
from tests import builders

UNLOCKS = ["all", "n=1", "n=7", "t=1s,10s"]
WHOLE = EpsilonDelta(10.0, 1e-6)


def admitted(whole: PrivacyBudget = WHOLE) -> PrivateDataBlock:
    block = transitions.initialize_status(builders.block(budget=whole))
    return replace(block, meta=replace(block.meta, creation_time_ms=0))


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
def test_time_releases_evenly_whenever_it_looks_and_all_at_the_end(steps: list[int]) -> None:
    policy, block, now_ms = Policy.parse({"unlock": "t=1s,10s"}), admitted(), 0
    for step in steps:
        now_ms += step
        block = unlocking.by_period(block, policy, now_ms=now_ms)
        available = transitions.status_of(block).available.values[0]
        assert available == pytest.approx(10 * min(now_ms, 10_000) / 10_000)
    assert unlocking.end_ms(block, policy) == 10_000


def test_a_period_begins_when_the_last_one_released_budget() -> None:
    policy, block = Policy.parse({"unlock": "t=1s,10s"}), admitted()
    assert unlocking.next_ms(block, policy) == 0
    assert unlocking.next_ms(unlocking.by_period(block, policy, now_ms=300), policy) == 1300


def test_nothing_is_due_where_nothing_is_pending_or_before_a_schedule_begins() -> None:
    """A controller that waits for a time that has passed runs a pass every 10 ms."""
    policy, block = Policy.parse({"unlock": "t=1s,10s"}), admitted()
    assert unlocking.next_ms(unlocking.by_period(block, policy, now_ms=10_000), policy) is None
    later = replace(block, spec=replace(block.spec, flow_releasing=FlowReleasing(10**14, 2 * 10**14)))
    assert unlocking.next_ms(later, policy) == 10**14


@pytest.mark.parametrize(("unlock", "left"), [("all", 0.0), ("n=7", 10.0)])
def test_without_a_period_time_unlocks_only_at_decisions(unlock: str, left: float) -> None:
    policy, block = Policy.parse({"unlock": unlock}), admitted()
    assert unlocking.by_period(block, policy, now_ms=99_000) is block
    assert unlocking.next_ms(block, policy) is None is unlocking.end_ms(block, policy)
    found = unlocking.at_decision(block, policy, now_ms=0)
    assert transitions.status_of(found).pending.values[0] == left
    assert transitions.status_of(found).last_release_ms is None


def test_with_a_period_a_decision_unlocks_nothing() -> None:
    block = admitted()
    assert unlocking.at_decision(block, Policy.parse({"unlock": "t=1s,10s"}), now_ms=99_000) is block


@pytest.mark.parametrize(("unlock", "arrivals"), [("all", None), ("n=1", None), ("n=7", 7), ("t=1s,10s", None)])
def test_the_arrivals_that_unlock_everything_are_counted(unlock: str, arrivals: int | None) -> None:
    policy, block = Policy.parse({"unlock": unlock}), admitted()
    assert unlocking.arrivals_until_unlocked(policy) == arrivals
    for _ in range(arrivals or 0):
        assert transitions.status_of(block).pending.values[0] > 0.0
        block = unlocking.on_arrival(block, policy)
    assert transitions.status_of(block).pending.values[0] == pytest.approx(0.0 if arrivals else 10.0)


@pytest.mark.parametrize("unlock", UNLOCKS)
@given(steps=st.lists(st.none() | st.integers(1, 4000), max_size=20))
def test_a_table_unlocks_as_a_block_does(unlock: str, steps: list[int | None]) -> None:
    policy, block, now_ms = Policy.parse({"unlock": unlock}), admitted(), 0
    columns = BudgetColumns([WHOLE])
    table = BudgetTable.from_budgets(columns, capacity=[WHOLE], pending=[WHOLE], available=[WHOLE * 0.0])
    rows = TableUnlocking(table, policy)
    rows.add(0, created_ms=0)
    for step in steps:
        if step is None:
            block = unlocking.on_arrival(block, policy)
            rows.on_arrival(np.array([0]))
        elif policy.unlocking.period_ms is not None:
            now_ms += step
            block = unlocking.by_period(block, policy, now_ms=now_ms)
            rows.by_time(now_ms)
        status = transitions.status_of(block)
        assert columns.budget(table.available[0], like=WHOLE) == status.available
        assert columns.budget(table.pending[0], like=WHOLE) == status.pending
