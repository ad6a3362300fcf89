"""Made-up scenarios of any size, in the format that `privatekube simulate` reads.

python benchmarks/workloads.py offline 100000 > offline.json
python benchmarks/workloads.py online 100000 > online.json
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from privatekube.privacy import accounting, budget, events

ORDERS = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64)
N_CURVES, N_BLOCKS, MOST_BLOCKS = 300, 20, 8
SMALLEST_SHARE, LARGEST_SHARE = 1.4, 78.0  # of a block, over the number of claims
CLAIMS_PER_SECOND, BLOCK_SECONDS, TIMEOUT_SECONDS, FIRST_BLOCKS = 12.8, 10, 51, 12
SMALL, LARGE, WIDE = 0.01, 0.1, 10


def offline(n_claims: int, seed: int = 0) -> dict[str, Any]:
    """Renyi claims on runs of neighbouring blocks, all there at once; blocks of epsilon 10, delta 1e-7.

    A third each of Gaussian, Laplace, and both composed; sizes are log-uniform, and shrink with the number of claims so
    that about half of them can be granted by a good policy.
    """
    chance = np.random.default_rng(seed)
    capacity = np.array(budget.to_renyi(budget.EpsilonDelta(10, 1e-7), ORDERS).values)
    curves = []
    for place in range(N_CURVES):
        curve = _curve(place % 3, chance)
        share = np.exp(chance.uniform(np.log(SMALLEST_SHARE), np.log(LARGEST_SHARE))) / n_claims
        curves.append((curve * share / np.min(curve[capacity > 0] / capacity[capacity > 0])).tolist())
    sizes = chance.integers(1, MOST_BLOCKS + 1, n_claims)
    starts = np.minimum(chance.integers(0, N_BLOCKS, n_claims), N_BLOCKS - sizes)
    which = chance.integers(0, N_CURVES, n_claims)
    return {
        "name": f"offline-{n_claims}",
        "kind": "offline",
        "accounting": "renyi",
        "alphas": list(ORDERS),
        "block_capacity": capacity.tolist(),
        "blocks": [{"id": place, "arrival": 0.0} for place in range(N_BLOCKS)],
        "claim_fields": ["id", "arrival_s", "first_block", "num_blocks", "curve"],
        "curves": curves,
        "claims": [
            [place, float(place), int(start), int(size), int(curve)]
            for place, (start, size, curve) in enumerate(zip(starts, sizes, which, strict=True))
        ],
    }


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


def _curve(kind: int, chance: np.random.Generator) -> Any:
    gaussian = events.poisson_gaussian(1.0, float(chance.uniform(0.5, 20)), int(chance.integers(1, 50)))
    laplace = events.discrete_laplace(float(chance.uniform(1, 20)), 1)
    event = (gaussian, laplace, events.composed(gaussian, laplace))[kind]
    return np.array(accounting.renyi_cost(event, ORDERS).values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["offline", "online"])
    parser.add_argument("claims", type=int)
    given = parser.parse_args()
    json.dump({"offline": offline, "online": online}[given.kind](given.claims), sys.stdout)
