"""The events of a scenario in order of time: blocks and claims arrive, claims time out, time unlocks budget."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from privatekube.scheduling.policy import Policy
from privatekube.simulation.scenario import Scenario

_BLOCK, _TIMEOUT, _TICK, _CLAIM = range(4)


@dataclass(slots=True)
class Moment:
    """What happens at one time, in seconds; blocks and claims by their positions in the scenario."""

    seconds: float
    blocks: list[int] = field(default_factory=list)
    timeouts: list[int] = field(default_factory=list)
    is_tick: bool = False
    claims: list[int] = field(default_factory=list)


def moments(scenario: Scenario, policy: Policy) -> Iterator[Moment]:
    """Yield all moments at which something happens, in order; if time unlocks, until no claim can still wait."""
    blocks = [(block.arrival_seconds, _BLOCK, row) for row, block in enumerate(scenario.blocks)]
    claims = [(claim.arrival_seconds, _CLAIM, position) for position, claim in enumerate(scenario.claims)]
    timeouts = sorted(_timeouts(scenario))
    ends = [arrivals[-1][0] for arrivals in (blocks, claims, timeouts) if arrivals]
    period_ms = policy.unlocking.period_ms
    ticks = () if period_ms is None else _ticks(period_ms, max(ends, default=0.0))
    events = heapq.merge(blocks, timeouts, ticks, claims)
    for seconds, simultaneous in itertools.groupby(events, key=lambda event: event[0]):
        moment = Moment(seconds)
        positions = {_BLOCK: moment.blocks, _TIMEOUT: moment.timeouts, _CLAIM: moment.claims}
        for _, kind, position in simultaneous:
            if kind == _TICK:
                moment.is_tick = True
            else:
                positions[kind].append(position)
        yield moment


def _timeouts(scenario: Scenario) -> Iterator[tuple[float, int, int]]:
    """Yield when each claim stops waiting: after the scenario's limit, or at its deadline."""
    limit = math.inf if scenario.timeout_seconds is None else scenario.timeout_seconds
    for position, claim in enumerate(scenario.claims):
        end = min(claim.arrival_seconds + limit, claim.deadline_seconds)
        if end < math.inf:
            yield end, _TIMEOUT, position


def _ticks(period_ms: int, until_seconds: float) -> Iterator[tuple[float, int, int]]:
    for number in itertools.count(1):
        seconds = number * period_ms / 1000
        if seconds > until_seconds:
            return
        yield seconds, _TICK, number
