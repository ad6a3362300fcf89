"""PrivateKube's macrobenchmark as scenarios that `privatekube simulate` reads, and what policies grant of it.

    python benchmarks/macrobenchmark.py scenario --unit event > event.json    one scenario; also user-time and user
    python benchmarks/macrobenchmark.py scenario --unit event --buckets 100   a block for each bucket of users of a day
    python benchmarks/macrobenchmark.py table                                 what each policy grants of each of them

Luo et al., OSDI'21, section 6: 8 models and 6 statistics on Amazon reviews, at three epsilons each, so 42 pipelines. A
block is a day, of (10, 1e-7). 300 claims a day come for 51 days, three quarters of them for a statistic, each for the
latest days; a claim waits five days. These numbers, the days of each model under event DP and the rules below are those
of the published configuration (columbia/PrivateKube, evaluation/macrobenchmark, and the selected runs for event DP in
the fork DelphianCalamity/PrivateKube).

The selected runs for the other two units are not published. Ours follow from rules:

- A statistic takes the fewest days for a relative error below 5 %, with Laplace noise for 20 reviews of a user on a day
  and 100 in all. For event DP this rule gives the published days.
- A model takes as many units as it takes reviews under event DP. In the sample of real reviews there are 0.87 pairs of
  a user and a day for each review, and 0.60 users.
- The noise of a model is the least for its epsilon at delta 1e-9, converted from the orders of the blocks. For event DP
  this is the published noise within 1 %.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from privatekube.privacy import accounting, bisection, budget, events, renyi_conversion
from privatekube.scheduling.policy import Policy
from privatekube.simulation import scenario
from privatekube.simulation.replay import replay

ORDERS = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64)
BLOCK = budget.EpsilonDelta(10, 1e-7)
DAY_SECONDS = 86_400
DAYS_WAITING, FIRST_DAYS, CLAIM_DAYS, CLAIMS_PER_DAY, STATISTICS_SHARE = 5, 10, 50, 300, 0.75

MODEL_EPSILONS, MODEL_DELTA = (0.5, 1.0, 5.0), 1e-9
EVENT_DAYS = {
    "product-bow": (5, 5, 2),
    "product-feedforward": (2, 2, 1),
    "product-lstm": (5, 2, 2),
    "product-bert": (20, 10, 5),
    "sentiment-bow": (2, 1, 1),
    "sentiment-feedforward": (2, 1, 1),
    "sentiment-lstm": (10, 5, 1),
    "sentiment-bert": (5, 5, 2),
}
"""Days of each model under event DP, by epsilon."""
REVIEWS = {1: 29_727, 2: 64_934, 5: 165_215, 10: 297_910, 20: 514_963, 50: 1_287_000, 100: 2_575_000}
"""Reviews that a model is trained on, by days; those of 50 and 100 days are as many a day as those of 20."""

STATISTIC_EPSILONS = (0.01, 0.05, 0.1)
STATISTIC_DAYS = (1, 2, 3, 4, 5, 10, 25, 50, 100, 150, 200, 250)
LARGEST_ERROR = 0.05
ERRORS = {
    "count_reviews": (5.9e-5, 1),
    "count_per_category": (4.5e-4, 1),
    "avg_rating": (1.3e-5, 1),
    "avg_tokens": (1.2e-4, 1),
    "count_tokens": (1.2e-4, 1),
    "std_tokens": (4.1e-4, 2),
}
"""Relative error of one day (17,000 reviews) at epsilon 1 and one review of a user, and its growth with the reviews."""

BASELINE, UNLOCKS, ORDERINGS = ("all", "fcfs"), ("n=100", "n=200", "n=300", "n=400", "n=500"), ("dpf", "dpack")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of privacy: units of it per review, and what a pipeline does for it."""

    per_review: float
    epochs: int
    bert_epochs: int
    reviews_a_day: int
    most_reviews: int


UNITS = {
    "event": Unit(1.0, epochs=15, bert_epochs=3, reviews_a_day=1, most_reviews=1),
    "user-time": Unit(0.87, epochs=15, bert_epochs=3, reviews_a_day=20, most_reviews=20),
    "user": Unit(0.60, epochs=60, bert_epochs=5, reviews_a_day=20, most_reviews=100),
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What one pipeline claims: how many of the latest days, and on each of them a pair or a curve."""

    name: str
    days: int
    pair: budget.EpsilonDelta
    curve: budget.RenyiCurve


def models(unit: Unit) -> list[Pipeline]:
    """Return the pipelines that train a model."""
    pipelines = []
    for name, event_days in EVENT_DAYS.items():
        epochs = unit.bert_epochs if name.endswith("bert") else unit.epochs
        for epsilon, event_day in zip(MODEL_EPSILONS, event_days, strict=True):
            days = next(days for days, reviews in REVIEWS.items() if reviews * unit.per_review >= REVIEWS[event_day])
            curve = training_curve(round(REVIEWS[days] * unit.per_review), epochs, epsilon)
            pair = budget.EpsilonDelta(epsilon, MODEL_DELTA)
            pipelines.append(Pipeline(f"{name}-{epsilon}", days, pair, curve))
    return pipelines


def statistics(unit: Unit) -> list[Pipeline]:
    """Return the pipelines that release a statistic; those that no number of days makes accurate are left out."""
    pipelines = []
    for name, epsilon in itertools.product(ERRORS, STATISTIC_EPSILONS):
        days = next((days for days in STATISTIC_DAYS if error(name, unit, days, epsilon) < LARGEST_ERROR), None)
        if days is not None:
            curve = accounting.renyi_cost(events.laplace(1 / epsilon), ORDERS)
            pipelines.append(Pipeline(f"{name}-{epsilon}", days, budget.EpsilonDelta(epsilon, 0), curve))
    return pipelines


def error(statistic: str, unit: Unit, days: int, epsilon: float) -> float:
    """Return the expected relative error of a statistic."""
    of_one, growth = ERRORS[statistic]
    n_reviews = min(unit.reviews_a_day * days, unit.most_reviews)
    return of_one * float(n_reviews) ** growth / (epsilon * days)


def training_curve(n_units: int, epochs: int, epsilon: float) -> budget.RenyiCurve:
    """Return the Renyi curve of DP-SGD in batches of the root of `n_units`, with the least noise for epsilon."""
    rate = n_units**-0.5

    def curve(noise: float) -> budget.RenyiCurve:
        return accounting.renyi_cost(events.poisson_gaussian(rate, noise, round(epochs / rate)), ORDERS)

    def is_too_little(noise: float) -> bool:
        return converted(curve(noise)) > epsilon

    return curve(bisection.largest_number(is_too_little, below=20.0, halvings=14) or 20.0)


def converted(curve: budget.RenyiCurve) -> float:
    """Return epsilon at delta 1e-9 by the conversion of the published runs: Mironov's, at the best order."""
    pairs = zip(curve.orders, curve.values, strict=True)
    return min(value + math.log(1 / MODEL_DELTA) / (order - 1) for order, value in pairs)


def document(
    unit: str,
    *,
    accounting_name: str = "renyi",
    days: int = CLAIM_DAYS,
    claims_per_day: int = CLAIMS_PER_DAY,
    buckets: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scenario of a unit.

    Args:
        unit: event, user-time or user.
        accounting_name: renyi or epsilon.
        days: for how many days claims come, and one more; ten days of blocks were there before.
        claims_per_day: the mean of the Poisson process by which they come.
        buckets: blocks of a day; a claim asks for all of them.
        seed: of the draws.
    """
    n_days = FIRST_DAYS + days
    drawn = [[pipeline for pipeline in made(UNITS[unit]) if pipeline.days <= n_days] for made in (statistics, models)]
    pipelines, chance = [*drawn[0], *drawn[1]], np.random.default_rng(seed)
    spaces = chance.exponential(1 / claims_per_day, 2 * claims_per_day * (days + 1) + 100)
    arrivals = FIRST_DAYS + np.cumsum(spaces)
    claims = list(drawn_claims(arrivals[arrivals < n_days + 1], *drawn, buckets=buckets, chance=chance))
    is_renyi = accounting_name == "renyi"
    capacity = renyi_conversion.to_renyi(BLOCK, ORDERS) if is_renyi else BLOCK
    return {
        "name": f"macrobenchmark-{unit}-{accounting_name}",
        "kind": "online",
        "accounting": accounting_name,
        **({"alphas": list(ORDERS)} if is_renyi else {}),
        "block_capacity": list(capacity.values),
        "timeout_s": DAYS_WAITING * DAY_SECONDS,
        "blocks": [
            {"id": f"day-{day}-{bucket}", "arrival": float((day + 1) * DAY_SECONDS)}
            for day, bucket in itertools.product(range(n_days), range(buckets))
        ],
        "claim_fields": ["id", "arrival_s", "first_block", "num_blocks", "curve"],
        "curves": [list((pipeline.curve if is_renyi else pipeline.pair).values) for pipeline in pipelines],
        "claims": claims,
    }


def drawn_claims(
    arrivals: npt.NDArray[np.float64],
    statistic: Sequence[Pipeline],
    model: Sequence[Pipeline],
    *,
    buckets: int,
    chance: np.random.Generator,
) -> Iterator[list[Any]]:
    """Yield a claim of a drawn pipeline at each of these times, in days, as a row of a scenario."""
    for number, arrival in enumerate(arrivals):
        is_statistic = chance.random() < STATISTICS_SHARE
        pipelines, before = (statistic, 0) if is_statistic else (model, len(statistic))
        position = int(chance.integers(0, len(pipelines)))
        pipeline = pipelines[position]
        first = max(int(arrival) - pipeline.days, 0)  # a claim for more days than there are yet is never granted
        span = (first * buckets, pipeline.days * buckets)
        yield [f"{pipeline.name}/{number}", float(arrival * DAY_SECONDS), *span, before + position]


def rows(unit: str, *, days: int, claims_per_day: int, seed: int) -> Iterator[Mapping[str, Any]]:
    """Replay the scenario of a unit under each policy, in both accountings."""
    policies = [BASELINE, *itertools.product(UNLOCKS, ORDERINGS)]
    read = {
        name: scenario.parse(document(unit, accounting_name=name, days=days, claims_per_day=claims_per_day, seed=seed))
        for name in ("epsilon", "renyi")
    }
    for unlock, order in policies:
        row: dict[str, Any] = {"unit": unit, "claims": len(read["renyi"].claims), "unlock": unlock, "order": order}
        for name, claims in read.items():
            granted = replay(claims, Policy.parse({"unlock": unlock, "order": order})).granted
            n_models = sum(str(claim).rpartition("-")[0] in EVENT_DAYS for claim in granted)
            row |= {f"{name}: granted": len(granted), f"{name}: models": n_models}
        yield row


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scenario", "table"))
    parser.add_argument("--unit", nargs="+", choices=list(UNITS), default=list(UNITS))
    parser.add_argument("--accounting", choices=("renyi", "epsilon"), default="renyi", help="of a scenario")
    parser.add_argument("--days", type=int, default=CLAIM_DAYS)
    parser.add_argument("--claims-per-day", type=int, default=CLAIMS_PER_DAY)
    parser.add_argument("--buckets", type=int, default=1, help="blocks of a day in a scenario")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if min(options.days, options.claims_per_day, options.buckets) < 1 or options.seed < 0:
        parser.error("days, claims per day and buckets must be at least 1, the seed at least 0")
    if options.what == "scenario" and len(options.unit) != 1:
        parser.error("a scenario is of one unit; name it with --unit")
    return options


def main() -> None:
    options = parsed()
    size = {"days": options.days, "claims_per_day": options.claims_per_day, "seed": options.seed}
    if options.what == "scenario":
        content = document(options.unit[0], accounting_name=options.accounting, buckets=options.buckets, **size)
        json.dump(content, sys.stdout)
        return
    found = [row for unit in options.unit for row in rows(unit, **size)]
    table = Table(*found[0], title="Granted of PrivateKube's macrobenchmark", box=None)
    for row in found:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=None if Console().is_terminal else 160).print(table)


if __name__ == "__main__":
    main()
