"""Where one controller and one etcd end, if more and more claims come: a simulation from measured costs.

    python benchmarks/several_controllers.py

Twenty datasets of unequal size (Zipf: the second has half of the first, the third a third) get 186,000 blocks a year
in all, and claims in proportion. A claim is on 100 neighbouring blocks of one dataset, of its last 30 days. It is
granted, runs for half an hour and pays. Each dataset is decided by one of several controllers: that with the most work
is given away first, always to the controller that has the least.

A controller decides in passes: what comes during a pass waits for the next, and all answers of a pass are there at its
end. A pass takes the controller's processor seconds of docs/scale.md. So the figures leave out the time of the API
server, and that claims which come together on the same blocks are cheaper. Prints how long claims wait for a decision,
from how many claims an hour on a controller is never idle, when an etcd is full, and, of claims that compete, how many
our scheduler grants. The same seed gives the same figures.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from privatekube.privacy.budget import EpsilonDelta
from privatekube.scheduling import ordering
from privatekube.scheduling.policy import Policy
from privatekube.simulation.replay import replay
from privatekube.simulation.scenario import Scenario, SimulatedBlock, SimulatedClaim

GRANT_SECONDS, PAY_SECONDS, REGISTER_SECONDS, LOOK_SECONDS = 0.0037, 0.0105, 0.008, 9e-6
"""Of the controller's processor: for each block of a claim, for each new block, and for each other block in a pass.

To pay includes the two later writes of the block that complete the grant and the payment.
"""
NEW_BLOCK, NAMED_CLAIM, MOST_NAMED = 3900, 480, 64
"""Bytes of a block, of each claim that it names, and how many it names before they are folded into one total."""
NEW_CLAIM, CLAIMED_BLOCK, ENTRY = 3000, 1385, 1650
"""Bytes of a claim that has paid, in Renyi accounting of 13 orders; of each of its blocks, there and in the ledger."""
DATASETS, BLOCKS_A_DAY, KEPT_DAYS, WIDTH, RUN_SECONDS, WAITING_SECONDS = 20, 510.0, 30, 100, 1800.0, 7200.0
HOUR, DAY, CUT_AT = 3600.0, 86_400.0, 3 * 3600.0
CONTROLLERS, QUOTAS_GIB, YEAR_DAYS, MOST_CLAIMS, MOST_HOURS = (1, 2, 4, 8), (2, 8), 365, 100_000, 168
RATES, GROWTH_RATES = (100, 300, 1000, 2000, 4000), (1, 3, 10, 30, 100)
WHOLE, DEMANDS = EpsilonDelta(10.0, 1e-7), (EpsilonDelta(0.1), EpsilonDelta(1.0))
UNLOCK = "t=1h,40h"
Floats = npt.NDArray[np.float64]


def datasets(
    claims_per_hour: float,
    hours: float,
    *,
    seed: int,
    is_hourly: bool = False,
    n_datasets: int = DATASETS,
    blocks_a_day: float = BLOCKS_A_DAY,
    width: int = WIDTH,
) -> list[Scenario]:
    """Return what comes to each dataset, the largest first.

    Args:
        claims_per_hour: of all datasets together.
        hours: how long claims come.
        seed: of the generator.
        is_hourly: whether claims come in the first minute of each hour, as of scheduled pipelines, or at any time.
        n_datasets: how many datasets.
        blocks_a_day: of all datasets together, for `KEPT_DAYS` before the first claim, and each day at `CUT_AT`.
        width: on how many blocks a claim is; on all that its dataset has of the last days, if these are fewer.
    """
    ranks = np.arange(1, n_datasets + 1)
    parts = (1 / ranks / np.sum(1 / ranks)).tolist()
    made = []
    for number, part in enumerate(parts):
        chance = np.random.default_rng([seed, number])
        times = _arrivals(chance, claims_per_hour * part, hours, is_hourly=is_hourly)
        cuts, daily = np.arange(CUT_AT, hours * HOUR, DAY), max(1, round(blocks_a_day * part))
        made.append(_dataset(f"d{number}", chance, times=times, cuts=cuts, blocks_a_day=daily, width=width))
    return made


def _arrivals(chance: np.random.Generator, claims_per_hour: float, hours: float, *, is_hourly: bool) -> Floats:
    count = chance.poisson(claims_per_hour * hours)
    if not is_hourly:
        return np.sort(chance.random(count) * hours * HOUR)
    return np.sort(chance.integers(0, max(1, round(hours)), count) * HOUR + chance.random(count) * 60.0)


def _dataset(
    name: str, chance: np.random.Generator, *, times: Floats, cuts: Floats, blocks_a_day: int, width: int
) -> Scenario:
    arrivals = np.repeat([*np.zeros(KEPT_DAYS), *cuts], blocks_a_day).tolist()
    blocks = tuple(SimulatedBlock(f"{name}-{row}", arrival, WHOLE) for row, arrival in enumerate(arrivals))
    recent = KEPT_DAYS * blocks_a_day
    oldest = np.searchsorted(cuts, times, side="right") * blocks_a_day
    firsts = oldest + chance.integers(0, max(1, recent - width + 1), len(times))
    demands = chance.integers(0, len(DEMANDS), len(times))
    drawn = enumerate(zip(times.tolist(), firsts.tolist(), demands.tolist(), strict=True))
    claims = tuple(
        SimulatedClaim(f"{name}-{number}", seconds, range(first, first + min(width, recent)), DEMANDS[demand])
        for number, (seconds, first, demand) in drawn
    )
    return _scenario(name, blocks, claims)


def _scenario(name: str, blocks: Iterable[SimulatedBlock], claims: Iterable[SimulatedClaim]) -> Scenario:
    return Scenario(name, offline=False, timeout_seconds=WAITING_SECONDS, blocks=tuple(blocks), claims=tuple(claims))


def together(parts: Sequence[Scenario]) -> Scenario:
    """Return one scenario of all that comes to several datasets."""
    places = ((part, row) for part, scenario in enumerate(parts) for row in range(len(scenario.blocks)))
    arrived = sorted(places, key=lambda place: parts[place[0]].blocks[place[1]].arrival_seconds)
    rows = {place: row for row, place in enumerate(arrived)}
    claims = [
        replace(claim, blocks=[rows[part, row] for row in claim.blocks])
        for part, scenario in enumerate(parts)
        for claim in scenario.claims
    ]
    blocks = (parts[part].blocks[row] for part, row in arrived)
    return _scenario("together", blocks, sorted(claims, key=lambda claim: claim.arrival_seconds))


def work_seconds(part: Scenario) -> float:
    """Return how long a controller works on the claims of a dataset."""
    return (GRANT_SECONDS + PAY_SECONDS) * sum(len(claim.blocks) for claim in part.claims)


def shares(parts: Sequence[Scenario], n_controllers: int) -> list[list[Scenario]]:
    """Return the datasets of each controller."""
    divided: list[list[Scenario]] = [[] for _ in range(n_controllers)]
    for part in sorted(parts, key=work_seconds, reverse=True):
        min(divided, key=lambda share: sum(map(work_seconds, share))).append(part)
    return divided


def busiest(divided: Sequence[Sequence[Scenario]], hours: float) -> float:
    """Return for which part of the time the busiest controller works; from 1 on, more and more claims wait."""
    return max(sum(map(work_seconds, share)) for share in divided) / (hours * HOUR)


def waits(share: Sequence[Scenario]) -> list[float]:
    """Return how many seconds claims wait for the answer of the controller that has these datasets."""
    look_seconds = LOOK_SECONDS * sum(len(part.blocks) for part in share)
    blocks = [block for part in share for block in part.blocks if block.arrival_seconds > 0]
    due = [(block.arrival_seconds, REGISTER_SECONDS, 0) for block in blocks]
    for part in share:
        due += [(claim.arrival_seconds, GRANT_SECONDS * len(claim.blocks), len(claim.blocks)) for claim in part.claims]
    heapq.heapify(due)
    waited, now = list[float](), 0.0
    while due:
        begin = max(now, due[0][0])
        now, granted = begin + look_seconds, list[tuple[float, int]]()
        while due and due[0][0] <= begin:
            arrival, seconds, width = heapq.heappop(due)
            now += seconds
            granted += [(arrival, width)] if width else []
        for arrival, width in granted:
            waited.append(now - arrival)
            heapq.heappush(due, (now + RUN_SECONDS, PAY_SECONDS * width, 0))
    return waited


def bytes_by_day(part: Scenario, days: int) -> Floats:
    """Return how many bytes the objects of a dataset take at the end of each day `[days]`."""
    added = np.zeros(days)
    np.add.at(added, [int(block.arrival_seconds // DAY) for block in part.blocks], NEW_BLOCK)
    named = np.zeros(len(part.blocks), dtype=np.int64)
    for claim in part.claims:
        rows = slice(claim.blocks[0], claim.blocks[-1] + 1)
        after = np.where(named[rows] < MOST_NAMED, named[rows] + 1, 2)  # the others are folded into one total
        grown = NAMED_CLAIM * int((after - named[rows]).sum())
        added[int(claim.arrival_seconds // DAY)] += NEW_CLAIM + (CLAIMED_BLOCK + ENTRY) * len(claim.blocks) + grown
        named[rows] = after
    return np.cumsum(added)


def waiting_rows(hours: int, seed: int) -> Iterator[list[str]]:
    """Yield how long claims wait, by their number and the number of controllers."""
    for is_hourly in (False, True):
        for rate in RATES:
            parts, cells = datasets(rate, hours, seed=seed, is_hourly=is_hourly), []
            for number in CONTROLLERS:
                divided = shares(parts, number)
                if busiest(divided, hours) >= 1:
                    cells.append("grows")
                    continue
                p50, p99 = np.quantile([seconds for share in divided for seconds in waits(share)], [0.5, 0.99])
                cells.append(f"{p50:,.1f}, {p99:,.1f}")
            yield [f"{rate:,} {'on the hour' if is_hourly else 'at any time'}", *cells]


def end_rows(hours: int, seed: int) -> Iterator[list[str]]:
    """Yield from how many claims an hour on the busiest of several controllers is never idle."""
    rate = max(RATES)
    parts = datasets(rate, hours, seed=seed)
    for number in CONTROLLERS:
        yield [str(number), f"{rate / busiest(shares(parts, number), hours):,.0f}"]


def growth_rows(seed: int) -> Iterator[list[str]]:
    """Yield in how many days an etcd is full: one for all datasets, and the first of one for each share of them."""
    for rate in GROWTH_RATES:
        days = min(YEAR_DAYS, MOST_CLAIMS // (24 * rate))
        parts = datasets(rate, 24 * days, seed=seed)
        grown = {part.name: bytes_by_day(part, days) for part in parts}
        cells = []
        for number in CONTROLLERS:
            sizes = [sum(grown[part.name] for part in share) for share in shares(parts, number)]
            for gib in QUOTAS_GIB:
                day = min(int(np.searchsorted(size, gib * 2**30)) for size in sizes)
                cells.append(f"over {days}" if day == days else str(day + 1))
        yield [f"{rate:,}", *cells]


def granted_rows(seed: int) -> Iterator[list[str]]:
    """Yield how many claims that compete are granted if datasets are decided together, and one by one."""
    parts = datasets(100, 8, seed=seed, blocks_a_day=6, width=10)
    whole = together(parts)
    for order in ordering.ORDERINGS:
        policy = Policy.parse({"unlock": UNLOCK, "order": order})
        at_once = set(replay(whole, policy).granted)
        apart = {claim for part in parts for claim in replay(part, policy).granted}
        yield [order, f"{len(whole.claims):,}", f"{len(at_once):,}", f"{len(apart):,}", f"{len(at_once ^ apart):,}"]


def show(title: str, columns: Sequence[str], rows: Iterator[list[str]]) -> None:
    """Print a table."""
    table = Table(*columns, title=title, box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=24, help="of waiting, 1 to 168")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not 1 <= options.hours <= MOST_HOURS:
        parser.error(f"--hours: {options.hours} must be from 1 to {MOST_HOURS}; change it")
    several = [str(number) for number in CONTROLLERS]
    waiting = waiting_rows(options.hours, options.seed)
    show(
        "Seconds until the decision by 1 to 8 controllers: median, 99th percentile",
        ["claims an hour", *several],
        waiting,
    )
    ends = end_rows(options.hours, options.seed)
    show("The busiest is never idle", ["controllers", "from claims an hour"], ends)
    etcds = [f"{number} x {gib} GiB" for number in CONTROLLERS for gib in QUOTAS_GIB]
    show("Days until the first etcd is full", ["claims an hour", *etcds], growth_rows(options.seed))
    show(
        f"Claims granted, unlock {UNLOCK}",
        ["order", "claims", "together", "apart", "in one only"],
        granted_rows(options.seed),
    )


if __name__ == "__main__":
    main()
