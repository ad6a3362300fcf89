"""What more is granted where claims take a share of the users only: the idea of Cohere, on its published workloads.

    python benchmarks/user_shares.py                          prints a table
    python benchmarks/user_shares.py --rounds 12 --order dpack

Kuechler et al., IEEE S&P 2024, and its workload generator (pps-lab/cohere): 504 requests a week, decided together and
once; users of (3, 1e-7) stay for twelve weeks, over which their budget unlocks; the requests of each kind are in three
sizes, equally often; half of them need a quarter of the users, half all of them; each names an interval of a public
attribute, by a Beta distribution of its length. All requests count alike.

| workload | requests |
|---|---|
| gaussian | Gaussian (0.05, 0.2, 0.75; 1e-9), on few users: Beta(1, 10) |
| basic | besides, of epsilon 0.01, 0.1, 0.25: Laplace on few; sparse vector, randomised response on many: Beta(1, .5) |
| training | DP-SGD and PATE (0.05, 0.2, 0.75; 1e-9), on about half of the users: Beta(2, 2) |
| all | all six |

Sparse vector and randomised response are charged as any mechanism of their epsilon here, PATE as the Gaussian mechanism
that it is. Of claims that need a quarter of the users there are three versions:

- `quarter`: they take one of four groups of blocks, at their whole cost.
- `amplified`: they take a secret Poisson sample of all users, and pay the cost amplified by it (DP-SGD, which samples
  in each step, by a quarter of its rate).
- `noise`: they take all users with four times the noise, which is as exact, relative to the number of users.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from privatekube.privacy import accounting, budget, calibration, events, renyi_conversion
from privatekube.scheduling.policy import Policy
from privatekube.simulation.replay import replay
from privatekube.simulation.scenario import Scenario, SimulatedBlock, SimulatedClaim

ORDERS = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64)
USER, DELTA = budget.EpsilonDelta(3, 1e-7), 1e-9
WEEK_SECONDS, WEEKS, REQUESTS_PER_WEEK, WAITING_SECONDS = 604_800, 12, 504, 3_600
SHARE, GROUPS = 0.25, 4
EPSILONS, CHEAP_EPSILONS = (0.05, 0.2, 0.75), (0.01, 0.1, 0.25)
FEW, MANY, HALF = (1, 10), (1, 0.5), (2, 2)
SGD_RATE, SGD_STEPS = 0.005, 1000
VERSIONS = ("quarter", "amplified", "noise")
BUCKETS = (1, 8, 64)


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one mechanism: their epsilons, which users they name, and the events for all and for a quarter."""

    epsilons: tuple[float, ...]
    interval: tuple[float, float]
    whole: Callable[[float], events.DpEvent]
    amplified: Callable[[float], events.DpEvent]
    noisier: Callable[[float], events.DpEvent]


def _gaussian_noise(epsilon: float) -> float:
    return calibration.noise_multiplier(events.gaussian, target_epsilon=epsilon, delta=DELTA)


def _sgd_noise(epsilon: float) -> float:
    def make(noise: float) -> events.DpEvent:
        return events.poisson_gaussian(SGD_RATE, noise, SGD_STEPS)

    return calibration.noise_multiplier(make, target_epsilon=epsilon, delta=DELTA)


def _amplified_pure(epsilon: float) -> events.DpEvent:
    return events.pure(math.log1p(SHARE * math.expm1(epsilon)))


def _gaussian(interval: tuple[float, float]) -> Kind:
    return Kind(
        EPSILONS,
        interval,
        lambda epsilon: events.gaussian(_gaussian_noise(epsilon)),
        lambda epsilon: events.poisson_gaussian(SHARE, _gaussian_noise(epsilon), 1),
        lambda epsilon: events.gaussian(_gaussian_noise(epsilon) / SHARE),
    )


LAPLACE = Kind(
    CHEAP_EPSILONS,
    FEW,
    lambda epsilon: events.laplace(1 / epsilon),
    _amplified_pure,
    lambda epsilon: events.laplace(1 / (epsilon * SHARE)),
)
PURE = Kind(CHEAP_EPSILONS, MANY, events.pure, _amplified_pure, lambda epsilon: events.pure(epsilon * SHARE))
SGD = Kind(
    EPSILONS,
    HALF,
    lambda epsilon: events.poisson_gaussian(SGD_RATE, _sgd_noise(epsilon), SGD_STEPS),
    lambda epsilon: events.poisson_gaussian(SGD_RATE * SHARE, _sgd_noise(epsilon), SGD_STEPS),
    lambda epsilon: events.poisson_gaussian(SGD_RATE, _sgd_noise(epsilon) / SHARE, SGD_STEPS),
)
WORKLOADS = {
    "gaussian": (_gaussian(FEW),),
    "basic": (_gaussian(FEW), LAPLACE, PURE, PURE),
    "training": (SGD, _gaussian(HALF)),
    "all": (_gaussian(FEW), LAPLACE, PURE, PURE, SGD, _gaussian(HALF)),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its week, its costs on each user by version, where its interval begins, its length, and its number."""

    week: int
    whole: budget.RenyiCurve
    of_a_share: Mapping[str, budget.RenyiCurve]
    is_of_a_share: bool
    begin: float
    length: float
    number: int


def requests(workload: str, rounds: int, seed: int) -> list[Request]:
    """Return the requests of a workload; `WEEKS` weeks of users are there before the first."""
    chance = np.random.default_rng(seed)
    kinds = WORKLOADS[workload]
    curves = [[_curves(kind, epsilon) for epsilon in kind.epsilons] for kind in kinds]
    drawn = []
    for number in range(rounds * REQUESTS_PER_WEEK):
        position = int(chance.integers(0, len(kinds)))
        whole, of_a_share = curves[position][int(chance.integers(0, len(kinds[position].epsilons)))]
        length = float(chance.beta(*kinds[position].interval))
        begin, is_of_a_share = float(chance.random()), bool(chance.random() < 0.5)
        week = WEEKS + number // REQUESTS_PER_WEEK
        drawn.append(Request(week, whole, of_a_share, is_of_a_share, begin, length, number))
    return drawn


def _curves(kind: Kind, epsilon: float) -> tuple[budget.RenyiCurve, dict[str, budget.RenyiCurve]]:
    whole, amplified, noisier = (
        accounting.renyi_cost(make(epsilon), ORDERS) for make in (kind.whole, kind.amplified, kind.noisier)
    )
    return whole, {"quarter": whole, "amplified": amplified, "noise": noisier}


def scenario(drawn: list[Request], *, version: str, buckets: int) -> Scenario:
    """Return the scenario of requests on blocks by week, bucket of the attribute, and group of users.

    Args:
        drawn: the requests, by week.
        version: what a request for a quarter of the users takes.
        buckets: into how many ranges of the public attribute the users of a week are cut.
    """
    groups = GROUPS if version == "quarter" else 1
    capacity = renyi_conversion.to_renyi(USER, ORDERS)
    per_week = buckets * groups
    blocks = tuple(
        SimulatedBlock(number, float(number // per_week * WEEK_SECONDS), capacity)
        for number in range(drawn[-1].week * per_week)
    )
    claims = []
    for request in drawn:
        first = math.floor(request.begin * buckets)
        last = min(math.floor((request.begin + request.length) * buckets), first + buckets - 1)
        columns = [column % buckets for column in range(first, last + 1)]
        is_one = version == "quarter" and request.is_of_a_share
        chosen = [request.number % groups] if is_one else range(groups)
        rows = [
            (week * buckets + column) * groups + group
            for week in range(request.week - WEEKS, request.week)
            for column in columns
            for group in chosen
        ]
        demand = request.of_a_share[version] if request.is_of_a_share else request.whole
        claims.append(SimulatedClaim(request.number, request.week * WEEK_SECONDS + 1.0, rows, demand))
    return Scenario("shares", offline=False, timeout_seconds=WAITING_SECONDS, blocks=blocks, claims=tuple(claims))


def rows(workloads: list[str], *, rounds: int, order: str, seed: int) -> Iterator[dict[str, Any]]:
    """Yield how many requests of each workload are granted, by buckets and version."""
    policy = Policy.parse({"unlock": f"t=7d,{7 * WEEKS}d", "order": order})
    for workload in workloads:
        drawn = requests(workload, rounds, seed)
        first: int | None = None
        for buckets in BUCKETS:
            row: dict[str, Any] = {"workload": workload, "requests": len(drawn), "buckets": buckets}
            for version in VERSIONS:
                granted = len(replay(scenario(drawn, version=version, buckets=buckets), policy).granted)
                first = first or granted
                row |= {version: granted, f"{version}: times": round(granted / first, 2)}
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, choices=range(1, 41), default=12, metavar="1..40")
    parser.add_argument("--order", choices=("dpf", "dpack"), default="dpf")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = list(rows(options.workload, rounds=options.rounds, order=options.order, seed=options.seed))
    table = Table(*found[0], title=f"Granted under {options.order}; times what whole blocks grant", box=None)
    for row in found:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=None if Console().is_terminal else 160).print(table)


if __name__ == "__main__":
    main()
