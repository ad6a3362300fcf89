"""When something happens in a scenario: blocks come, claims come and give up, time unlocks."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from privatekube.simulation.scenario import Scenario

_BLOCK, _TIMEOUT, _TICK, _CLAIM = range(4)


@dataclass(slots=True)
class Moment:
    """What happens at one time, seconds; rows of blocks and positions of claims."""

    seconds: float
    blocks: list[int] = field(default_factory=list)
    timeouts: list[int] = field(default_factory=list)
    is_tick: bool = False
    claims: list[int] = field(default_factory=list)


def moments(scenario: Scenario, period_ms: int | None) -> Iterator[Moment]:
    """All moments at which something happens, in order; with a period, until nobody can be waiting any more."""
    blocks = [(block.arrival_seconds, _BLOCK, row) for row, block in enumerate(scenario.blocks)]
    claims = [(claim.arrival_seconds, _CLAIM, place) for place, claim in enumerate(scenario.claims)]
    limit = scenario.timeout_seconds
    timeouts = [] if limit is None else [(seconds + limit, _TIMEOUT, place) for seconds, _, place in claims]
    ends = [each[-1][0] for each in (blocks, claims, timeouts) if each]
    ticks = () if period_ms is None else _ticks(period_ms, max(ends, default=0.0))
    events = heapq.merge(blocks, timeouts, ticks, claims)
    for seconds, together in itertools.groupby(events, key=lambda event: event[0]):
        moment = Moment(seconds)
        places = {_BLOCK: moment.blocks, _TIMEOUT: moment.timeouts, _CLAIM: moment.claims}
        for _, what, place in together:
            if what == _TICK:
                moment.is_tick = True
            else:
                places[what].append(place)
        yield moment


def _ticks(period_ms: int, until_seconds: float) -> Iterator[tuple[float, int, int]]:
    for number in itertools.count(1):
        seconds = number * period_ms / 1000
        if seconds > until_seconds:
            return
        yield seconds, _TICK, number
