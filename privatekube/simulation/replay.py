"""Replay a scenario under a policy: the decisions of the control plane, with a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.scheduling import ordering as orderings
from privatekube.scheduling.budget_table import Columns, Floats, Integers, Table
from privatekube.scheduling.ordering import OrderingPolicy
from privatekube.scheduling.request_table import Requests
from privatekube.scheduling.snapshot import Schedule
from privatekube.scheduling.unlocking import UnlockingPolicy
from privatekube.simulation import timeline
from privatekube.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Replay:
    """What was granted.

    Args:
        granted: ids of claims, in the order of their grants.
        grant_seconds: when, on the scenario's clock.
        wall_seconds: spent deciding, on this machine's clock; reading the scenario does not count.
        used: what was granted of each block's budget.
        used_share: the fraction of it that was granted; of a Renyi block at its best order.
        unlocked_share: the fraction that was unlocked, granted or not.
    """

    granted: tuple[int | str, ...]
    grant_seconds: tuple[float, ...]
    wall_seconds: float
    used: tuple[PrivacyBudget, ...]
    used_share: tuple[float, ...]
    unlocked_share: tuple[float, ...]


def replay(scenario: Scenario, *, unlocking: UnlockingPolicy, ordering: OrderingPolicy) -> Replay:
    """Decide about a scenario's claims as they come.

    Raises:
        InvalidInput: the policies make no sense together, or not for this scenario.
    """
    orderings.require_sensible(unlocking, ordering)
    if scenario.offline and unlocking.period_ms is not None:
        raise errors.invalid(
            "unlock", unlocking.name, "needs time, and nothing happens later in an offline scenario", "use all or n=<N>"
        )
    wholes = [block.capacity for block in scenario.blocks]
    columns = Columns(wholes)
    table = Table.of(columns, wholes, wholes, [whole * 0.0 for whole in wholes])
    different = {id(claim.demand): claim.demand for claim in scenario.claims}
    places = {key: place for place, key in enumerate(different)}
    counts = np.array([len(claim.blocks) for claim in scenario.claims], dtype=np.int64)
    curve = np.array([places[id(claim.demand)] for claim in scenario.claims], dtype=np.int64)
    block = np.fromiter((row for claim in scenario.claims for row in claim.blocks), dtype=np.int64)
    demands = columns.rows(different.values())
    begin = time.perf_counter()
    requests = Requests.of(
        table, counts=counts, needed=counts, block=block, curve=np.repeat(curve, counts), demands=demands
    )
    run = _Run(scenario, table, requests, unlocking, ordering)
    run.at_once() if scenario.offline else run.as_they_come()
    wall_seconds = time.perf_counter() - begin
    used = table.capacity - table.pending - table.available
    return Replay(
        tuple(scenario.claims[request].id for request, _ in run.grants),
        tuple(seconds for _, seconds in run.grants),
        wall_seconds,
        used=tuple(columns.budget(row, whole) for row, whole in zip(used, wholes, strict=True)),
        used_share=_fractions(table, used),
        unlocked_share=_fractions(table, table.capacity - table.pending),
    )


class _Run:
    """The state of a replay."""

    def __init__(
        self, scenario: Scenario, table: Table, requests: Requests, unlocking: UnlockingPolicy, ordering: OrderingPolicy
    ) -> None:
        self._scenario, self._table, self._requests = scenario, table, requests
        self._unlocking = unlocking
        self._line = ordering(table, requests)
        self._fair_share = table.capacity * unlocking.on_arrival
        self._present: set[int] = set()
        self._locked: dict[int, Schedule] = {}
        self._waiting: set[int] = set()
        self.grants: list[tuple[int, float]] = []

    def at_once(self) -> None:
        """Everything comes at one moment; one decision."""
        rows = np.arange(len(self._table.required))
        arrivals = np.bincount(self._requests.block, minlength=len(rows))
        self._unlock(rows, times=np.maximum(arrivals, self._unlocking.on_arrival >= 1)[:, None])
        self._line.submit(range(len(self._requests)))
        self._decide(rows.tolist(), 0.0)

    def as_they_come(self) -> None:
        """One decision at each moment at which something happens."""
        for moment in timeline.moments(self._scenario, self._unlocking.period_ms):
            touched: dict[int, None] = {}
            for row in moment.blocks:
                self._present.add(row)
                self._locked[row] = Schedule(created_ms=_milliseconds(moment.seconds))
            for request in moment.timeouts:
                if request in self._waiting:
                    self._waiting.remove(request)
                    self._line.drop(request)
            if moment.is_tick:
                touched |= dict.fromkeys(self._tick(_milliseconds(moment.seconds)))
            new = [
                request for request in moment.claims if self._present.issuperset(self._scenario.claims[request].blocks)
            ]
            for request in new:
                rows = self._requests.block[self._requests.edges(request)]
                if self._unlocking.on_arrival:
                    self._unlock(rows)
                    touched |= dict.fromkeys(rows.tolist())
            self._waiting.update(new)
            self._line.submit(new)
            self._decide(touched, moment.seconds)

    def _decide(self, touched: Iterable[int], seconds: float) -> None:
        for request, _ in self._line.decide(touched):
            self._waiting.discard(request)
            self.grants.append((request, seconds))

    def _unlock(self, rows: Integers, *, times: Integers | int = 1) -> None:
        """What so many arrivals unlock on each of the blocks."""
        self._table.unlock(rows, np.minimum(self._fair_share[rows] * times, self._table.pending[rows]))

    def _tick(self, now_ms: int) -> list[int]:
        """Unlock what time unlocks, and say where."""
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


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _fractions(table: Table, amounts: Floats) -> tuple[float, ...]:
    """Amounts as fractions of capacity: the largest of epsilon and delta, or the smallest over orders."""
    whole = np.where(table.capacity > 0, table.capacity, np.nan)
    parts = amounts / whole
    pair = table.required > 1
    found = np.where(pair, np.fmax.reduce(parts, axis=1), np.fmin.reduce(parts, axis=1))
    return tuple(np.nan_to_num(found).tolist())
