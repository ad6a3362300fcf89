"""Replay a scenario under a policy: the decisions of the control plane on a simulated clock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from privatekube import errors
from privatekube.engine.unlocking import TableUnlocking
from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.request_table import RequestTable
from privatekube.simulation import timeline
from privatekube.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Replay:
    """What was granted.

    Args:
        granted: ids of claims, in the order of their grants.
        grant_seconds: when each was granted, on the scenario's clock.
        wall_seconds: time that the decisions took on this machine, without reading the scenario.
        used: what was granted of each block's budget.
        used_share: the fraction of it that was granted; see `arithmetic.used_share`.
        unlocked_share: the fraction of it that was unlocked, granted or not.
    """

    granted: tuple[int | str, ...]
    grant_seconds: tuple[float, ...]
    wall_seconds: float
    used: tuple[PrivacyBudget, ...]
    used_share: tuple[float, ...]
    unlocked_share: tuple[float, ...]


def replay(scenario: Scenario, policy: Policy) -> Replay:
    """Return what the policy grants of a scenario's claims.

    Args:
        scenario: blocks and claims with their times of arrival.
        policy: its unlocking and its ordering; the default timeout is not used.

    Raises:
        InvalidInput: the policy unlocks by time, which an offline scenario does not have.
    """
    if scenario.offline and policy.unlocking.period_ms is not None:
        raise errors.invalid(
            "unlock", policy.unlocking.name, "needs time, but an offline scenario is one moment", "use all or n=<N>"
        )
    capacity = [block.capacity for block in scenario.blocks]
    columns = BudgetColumns(capacity)
    table = BudgetTable.from_budgets(
        columns, capacity=capacity, pending=capacity, available=[budget * 0.0 for budget in capacity]
    )
    edges = _edges(scenario, columns)
    begin = time.perf_counter()
    simulation = _Simulation(scenario, table, RequestTable.from_edges(table, **edges), policy)
    simulation.run_offline() if scenario.offline else simulation.run_online()
    wall_seconds = time.perf_counter() - begin
    used = table.capacity - table.pending - table.available
    return Replay(
        tuple(scenario.claims[request].id for request, _ in simulation.grants),
        tuple(seconds for _, seconds in simulation.grants),
        wall_seconds,
        used=tuple(columns.budget(row, like=budget) for row, budget in zip(used, capacity, strict=True)),
        used_share=tuple(table.used_shares(used).tolist()),
        unlocked_share=tuple(table.used_shares(table.capacity - table.pending).tolist()),
    )


def _edges(scenario: Scenario, columns: BudgetColumns) -> dict[str, Any]:
    """Return the arguments of `RequestTable.from_edges`: each claim needs all of its blocks."""
    distinct = {id(claim.demand): claim.demand for claim in scenario.claims}
    positions = {key: position for position, key in enumerate(distinct)}
    counts = np.array([len(claim.blocks) for claim in scenario.claims], dtype=np.int64)
    curve = np.array([positions[id(claim.demand)] for claim in scenario.claims], dtype=np.int64)
    return {
        "counts": counts,
        "needed": counts,
        "block": np.fromiter((row for claim in scenario.claims for row in claim.blocks), dtype=np.int64),
        "curve": np.repeat(curve, counts),
        "demands": columns.rows(distinct.values()),
        "weight": np.array([claim.weight for claim in scenario.claims]),
        "deadline": np.array([claim.deadline_seconds for claim in scenario.claims]),
    }


class _Simulation:
    """The state of a replay."""

    def __init__(self, scenario: Scenario, table: BudgetTable, requests: RequestTable, policy: Policy) -> None:
        self._scenario, self._table, self._requests = scenario, table, requests
        self._policy, self._unlocking = policy, TableUnlocking(table, policy)
        self._queue = policy.ordering(table, requests)
        self._present: set[int] = set()
        self._waiting: set[int] = set()
        self.grants: list[tuple[int, float]] = []

    def run_offline(self) -> None:
        """Make one decision about all blocks and claims."""
        n_blocks = len(self._table.required)
        self._unlocking.at_once(np.bincount(self._requests.block, minlength=n_blocks))
        self._queue.submit(range(len(self._requests)))
        self._grant(range(n_blocks), 0.0)

    def run_online(self) -> None:
        """Make one decision at each moment of the timeline."""
        for moment in timeline.moments(self._scenario, self._policy):
            touched: dict[int, None] = {}
            for row in moment.blocks:
                self._present.add(row)
                self._unlocking.add(row, created_ms=_milliseconds(moment.seconds))
            for request in moment.timeouts:
                if request in self._waiting:
                    self._waiting.remove(request)
                    self._queue.drop(request)
            if moment.is_tick:
                touched |= dict.fromkeys(self._unlocking.by_time(_milliseconds(moment.seconds)))
            new = [request for request in moment.claims if self._may_wait(request, moment.seconds)]
            for request in new:
                rows = self._requests.block[self._requests.edges(request)]
                touched |= dict.fromkeys(self._unlocking.on_arrival(rows))
            self._waiting.update(new)
            self._queue.submit(new)
            self._grant(touched, moment.seconds)

    def _may_wait(self, request: int, seconds: float) -> bool:
        """Return whether the blocks of a claim are there, and its deadline has not passed."""
        claim = self._scenario.claims[request]
        return seconds < claim.deadline_seconds and self._present.issuperset(claim.blocks)

    def _grant(self, touched: Iterable[int], seconds: float) -> None:
        for request, _ in self._queue.grant(touched):
            self._waiting.discard(request)
            self.grants.append((request, seconds))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
