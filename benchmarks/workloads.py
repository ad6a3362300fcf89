"""Generated scenarios of any size, in the format that `privatekube simulate` reads.

python benchmarks/workloads.py offline 100000 > offline.json
python benchmarks/workloads.py online 100000 > online.json
python benchmarks/workloads.py renyi 3000 > renyi.json                     the same claims, charged in Renyi
python benchmarks/workloads.py epsilon-delta 3000 > epsilon-delta.json     or in epsilon-delta accounting
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from privatekube.privacy import accounting, budget, calibration, events, renyi_conversion, renyi_filter

ORDERS = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64)
WHOLE = budget.EpsilonDelta(10, 1e-7)
N_CURVES, N_BLOCKS, MOST_BLOCKS = 300, 20, 8
SMALLEST_SHARE, LARGEST_SHARE = 1.4, 78.0  # of a block, over the number of claims
CLAIMS_PER_SECOND, BLOCK_SECONDS, TIMEOUT_SECONDS, FIRST_BLOCKS = 12.8, 10, 51, 12
SMALL, LARGE, WIDE = 0.01, 0.1, 10
STATISTIC_EPSILONS, TRAINING_EPSILONS, TRAINING_DELTA = (0.01, 0.05, 0.1), (0.5, 1.0, 5.0), 1e-9
SAMPLING_RATES, EPOCHS, TRAINING_SHARE = (0.005, 0.02), (5, 20), 0.25


def offline(n_claims: int, seed: int = 0) -> dict[str, Any]:
    """Renyi claims on runs of neighbouring blocks, all there at once; blocks of epsilon 10, delta 1e-7.

    A third each of Gaussian, Laplace, and both composed; sizes are log-uniform, and shrink with the number of claims so
    that about half of them can be granted by a good policy.
    """
    chance = np.random.default_rng(seed)
    capacity = np.array(renyi_conversion.to_renyi(WHOLE, ORDERS).values)
    curves = []
    for place in range(N_CURVES):
        curve = _curve(place % 3, chance)
        share = np.exp(chance.uniform(np.log(SMALLEST_SHARE), np.log(LARGEST_SHARE))) / n_claims
        curves.append((curve * share / np.min(curve[capacity > 0] / capacity[capacity > 0])).tolist())
    claims = _claims(n_claims, chance, lambda: chance.integers(0, N_CURVES, n_claims))
    return _at_once(f"offline-{n_claims}", capacity.tolist(), curves, claims, ORDERS)


def mechanisms(n_claims: int, seed: int = 0, *, renyi: bool) -> dict[str, Any]:
    """Generate an offline scenario of the same claims in either accounting, on blocks of epsilon 10, delta 1e-7.

    Three quarters are counts with Laplace noise (epsilon 0.01 to 0.1), a quarter is DP-SGD with the least noise for
    (0.5 to 5, 1e-9): the sizes of Luo et al., OSDI'21, section 6. In Renyi accounting a claim costs its curve; in
    epsilon-delta accounting its exact epsilon, at delta 1e-9 or none.
    """
    chance = np.random.default_rng(seed)
    statistics = [(events.discrete_laplace(1 / epsilon, 1), 0.0) for epsilon in STATISTIC_EPSILONS]
    trainings = [
        (_training(*plan), TRAINING_DELTA) for plan in itertools.product(SAMPLING_RATES, EPOCHS, TRAINING_EPSILONS)
    ]

    def which() -> Any:
        training = len(statistics) + chance.integers(0, len(trainings), n_claims)
        statistic = chance.integers(0, len(statistics), n_claims)
        return np.where(chance.random(n_claims) < TRAINING_SHARE, training, statistic)

    claims = _claims(n_claims, chance, which)
    priced_events = [*statistics, *trainings]
    if renyi:
        whole = renyi_filter.capacity(WHOLE)
        curves = [list(accounting.renyi_cost(event).values) for event, _ in priced_events]
        return _at_once(f"renyi-{n_claims}", list(whole.values), curves, claims, whole.orders)
    costs = [[accounting.epsilon(event, delta or TRAINING_DELTA), delta] for event, delta in priced_events]
    return _at_once(f"epsilon-delta-{n_claims}", list(WHOLE.values), costs, claims)


def online(n_claims: int, seed: int = 0) -> dict[str, Any]:
    """Small and large claims on the last block or the last ten, 12.8 a second; a block comes every ten seconds."""
    chance = np.random.default_rng(seed)
    arrivals = np.cumsum(chance.exponential(1 / CLAIMS_PER_SECOND, n_claims))
    later = range(1, int(arrivals[-1] // BLOCK_SECONDS) + 2)
    blocks = [0.0] * FIRST_BLOCKS + [float(BLOCK_SECONDS * number) for number in later]
    newest = np.searchsorted(np.array(blocks), arrivals, side="right") - 1
    sizes = np.where(chance.random(n_claims) < 0.25, WIDE, 1)
    amounts = np.where(chance.random(n_claims) < 0.25, LARGE, SMALL)
    return {
        "name": f"online-{n_claims}",
        "kind": "online",
        "accounting": "epsilon",
        "block_capacity": [1.0],
        "timeout_s": TIMEOUT_SECONDS,
        "blocks": [{"id": place, "arrival": arrival} for place, arrival in enumerate(blocks)],
        "claim_fields": ["id", "arrival_s", "first_block", "num_blocks", "epsilon"],
        "claims": [
            [place, float(at), int(last - size + 1), int(size), float(amount)]
            for place, (at, last, size, amount) in enumerate(zip(arrivals, newest, sizes, amounts, strict=True))
        ],
    }


def _claims(n_claims: int, chance: np.random.Generator, which: Callable[[], Any]) -> list[list[float]]:
    """Claims on runs of neighbouring blocks, each for the curve that `which` names."""
    sizes = chance.integers(1, MOST_BLOCKS + 1, n_claims)
    starts = np.minimum(chance.integers(0, N_BLOCKS, n_claims), N_BLOCKS - sizes)
    return [
        [place, float(place), int(start), int(size), int(curve)]
        for place, (start, size, curve) in enumerate(zip(starts, sizes, which(), strict=True))
    ]


def _at_once(
    name: str,
    capacity: list[float],
    curves: list[list[float]],
    claims: list[list[float]],
    orders: tuple[float, ...] = (),
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "offline",
        **({"accounting": "renyi", "alphas": list(orders)} if orders else {"accounting": "epsilon"}),
        "block_capacity": capacity,
        "blocks": [{"id": place, "arrival": 0.0} for place in range(N_BLOCKS)],
        "claim_fields": ["id", "arrival_s", "first_block", "num_blocks", "curve"],
        "curves": curves,
        "claims": claims,
    }


def _training(sampling_rate: float, epochs: int, epsilon: float) -> events.DpEvent:
    """DP-SGD with the least noise for that epsilon."""
    make = functools.partial(_dp_sgd, sampling_rate, round(epochs / sampling_rate))
    return make(calibration.noise_multiplier(make, target_epsilon=epsilon, delta=TRAINING_DELTA))


def _dp_sgd(sampling_rate: float, steps: int, noise_multiplier: float) -> events.DpEvent:
    return events.poisson_gaussian(sampling_rate, noise_multiplier, steps)


def _curve(kind: int, chance: np.random.Generator) -> Any:
    gaussian = events.poisson_gaussian(1.0, float(chance.uniform(0.5, 20)), int(chance.integers(1, 50)))
    laplace = events.discrete_laplace(float(chance.uniform(1, 20)), 1)
    event = (gaussian, laplace, events.composition(gaussian, laplace))[kind]
    return np.array(accounting.renyi_cost(event, ORDERS).values)


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "offline": offline,
    "online": online,
    "renyi": functools.partial(mechanisms, renyi=True),
    "epsilon-delta": functools.partial(mechanisms, renyi=False),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("claims", type=int)
    options = parser.parse_args()
    json.dump(KINDS[options.kind](options.claims), sys.stdout)
