"""Unlock budget as the policy says: on the blocks of a pass or a forecast, and on the rows of a simulated table.

Nothing else reads a policy's fractions, so a pass, a forecast and a simulation unlock the same.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.scheduling.budget_table import BudgetTable, Integers
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.unlocking import UnlockSchedule


def on_arrival(block: PrivateDataBlock, policy: Policy) -> PrivateDataBlock:
    """Return the block after one more request for it has arrived; it stays as it is if arrivals unlock nothing."""
    fraction = policy.unlocking.on_arrival
    return transitions.unlock(block, block.spec.initial_budget * fraction) if fraction else block


def has_locked_budget(block: PrivateDataBlock) -> bool:
    """Return whether budget of a block is still to be unlocked; all of it where there is no status yet."""
    return block.status is None or max(block.status.pending.values) > 0


def at_decision(block: PrivateDataBlock, policy: Policy, *, now_ms: int) -> PrivateDataBlock:
    """Return the block as the next decision finds it: without a period, what was returned unlocks at once."""
    return block if policy.unlocking.period_ms is not None else _unlock_by_time(block, policy, now_ms)


def by_period(block: PrivateDataBlock, policy: Policy, *, now_ms: int) -> PrivateDataBlock:
    """Return the block after time has unlocked what it unlocks by now; it stays as it is without a period.

    Args:
        block: the block.
        policy: how budget unlocks.
        now_ms: the time, which is recorded as that of the last release; unix milliseconds.
    """
    unlocked = block if policy.unlocking.period_ms is None else _unlock_by_time(block, policy, now_ms)
    if unlocked is block:
        return block
    return replace(unlocked, status=replace(transitions.status_of(unlocked), last_release_ms=now_ms))


def next_ms(block: PrivateDataBlock, policy: Policy) -> int | None:
    """Return when time unlocks budget of a block next, in unix milliseconds; None if it will not."""
    status, period_ms = transitions.status_of(block), policy.unlocking.period_ms
    if period_ms is None or not has_locked_budget(block):
        return None
    start_ms = policy.unlocking.starts_ms(_schedule(block)) or 0
    return start_ms if status.last_release_ms is None else max(start_ms, status.last_release_ms + period_ms)


def end_ms(block: PrivateDataBlock, policy: Policy) -> int | None:
    """Return when time will have unlocked everything, in unix milliseconds; None if time does not unlock."""
    return policy.unlocking.ends_ms(_schedule(block))


def arrivals_until_unlocked(policy: Policy) -> int | None:
    """Return how many arrivals unlock all of a block's budget; None if arrivals unlock nothing, or one unlocks all."""
    fraction = policy.unlocking.on_arrival
    return math.ceil(1 / fraction) if 0 < fraction < 1 else None


def _unlock_by_time(block: PrivateDataBlock, policy: Policy, now_ms: int) -> PrivateDataBlock:
    pending = transitions.status_of(block).pending
    fraction = policy.unlocking.on_tick(_schedule(block), now_ms) if has_locked_budget(block) else 0.0
    return transitions.unlock(block, pending * fraction) if fraction > 0 else block


def _schedule(block: PrivateDataBlock) -> UnlockSchedule:
    last_ms, created_ms = transitions.status_of(block).last_release_ms, block.meta.creation_time_ms or 0
    begin_ms = created_ms if last_ms is None else min(created_ms, last_ms)  # created by a clock that was wrong
    return UnlockSchedule(begin_ms, last_ms, block.spec.flow_releasing)


class TableUnlocking:
    """Unlocks the budgets of a table as the functions above unlock those of blocks.

    Args:
        table: the budgets of the blocks; what unlocks moves from pending to available.
        policy: how budget unlocks.
    """

    def __init__(self, table: BudgetTable, policy: Policy) -> None:
        self._table, self._unlocking = table, policy.unlocking
        self._fair_share = table.capacity * policy.unlocking.on_arrival
        self._locked: dict[int, UnlockSchedule] = {}

    def add(self, row: int, *, created_ms: int) -> None:
        """Let time unlock the budget of a row, which was created at that time, in unix milliseconds."""
        self._locked[row] = UnlockSchedule(created_ms)

    def on_arrival(self, rows: Integers) -> list[int]:
        """Unlock for one arrival on each of the distinct rows; return those on which something may have unlocked."""
        if not self._unlocking.on_arrival:
            return []
        self._unlock(rows, times=1)
        touched: list[int] = rows.tolist()
        return touched

    def at_once(self, arrivals: Integers) -> None:
        """Unlock for this number of arrivals on each row `[B]`; what one arrival unlocks fully needs none."""
        times = np.maximum(arrivals, self._unlocking.on_arrival >= 1)
        self._unlock(np.arange(len(arrivals)), times=times[:, None])

    def by_time(self, now_ms: int) -> list[int]:
        """Unlock what time unlocks by now, in unix milliseconds; return the rows on which something unlocked."""
        fractions = {row: self._unlocking.on_tick(schedule, now_ms) for row, schedule in self._locked.items()}
        touched = [row for row, fraction in fractions.items() if fraction > 0]
        rows = np.array(touched, dtype=np.int64)
        parts = np.array([fractions[row] for row in touched])
        self._table.unlock(rows, self._table.pending[rows] * parts[:, None])
        for row in touched:
            self._locked[row] = replace(self._locked[row], last_release_ms=now_ms)
            if fractions[row] == 1:
                del self._locked[row]
        return touched

    def _unlock(self, rows: Integers, *, times: Integers | int) -> None:
        self._table.unlock(rows, np.minimum(self._fair_share[rows] * times, self._table.pending[rows]))
