"""Release statistics of hospital visits with OpenDP, under a budget that is claimed, paid, and then published.

    python examples/statistics_opendp/release.py --epsilon 1

writes `statistics.json`, a noisy number of visits and of nights for each ward, and `receipt.json`, what was paid.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import opendp.prelude as dp

from privatekube import connect, entrypoint
from privatekube.data.tables.block_file import TableBlock
from privatekube.data.tables.table import Table
from privatekube.integrations import opendp
from privatekube.privacy.mechanisms import Released

WARDS = ("surgery", "medicine", "children", "births")
MOST_NIGHTS = 30  # of a visit, by schema.yaml


def noisy(values: list[int], *, sensitivity: int, epsilon: float) -> Released[list[int]]:
    """Return whole numbers with the least Laplace noise that is epsilon-DP.

    Args:
        values: the exact numbers.
        sensitivity: how far a patient moves them, summed over all of them (L1).
        epsilon: what it may cost.
    """
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")

    def with_noise(scale: float) -> Any:
        return dp.m.make_laplace(*space, scale=scale)

    scale = dp.binary_search_param(with_noise, d_in=sensitivity, d_out=epsilon)
    measurement = with_noise(scale)
    planned = opendp.event(measurement, d_in=sensitivity)
    return opendp.released(measurement, values, d_in=sensitivity, planned=planned)


def per_ward(table: Table, weights: np.ndarray) -> list[int]:
    """Return the exact sum of weights of each ward."""
    sums = np.bincount(table.values["ward"], weights=weights, minlength=len(WARDS))
    return [int(value) for value in sums]


def main() -> None:
    """Claim, release, pay, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=1.0, help="what the run may cost")
    parser.add_argument("--output-dir", type=Path, default=Path(), help="where to publish")
    options = parser.parse_args()
    dp.enable_features("contrib")
    half = options.epsilon / 2
    with connect() as client, client.claim("visits", epsilon=options.epsilon, delta=1e-9) as run:
        block = run.open()
        assert isinstance(block, TableBlock)
        most = block.cut.max_contribution
        visits = noisy(per_ward(block.table, np.ones(len(block.table))), sensitivity=most, epsilon=half)
        nights = noisy(
            per_ward(block.table, block.table.values["nights"]), sensitivity=most * MOST_NIGHTS, epsilon=half
        )
        released = {"visits": visits, "nights": nights}
        contents = {name: json.dumps(dict(zip(WARDS, noise.value, strict=True))) for name, noise in released.items()}
        for name, noise in released.items():
            run.spend(name, noise.event, [contents[name].encode()])
        receipt = run.consume()
    statistics = {name: json.loads(content) for name, content in contents.items()}
    (options.output_dir / "statistics.json").write_text(json.dumps(statistics, indent=2))
    (options.output_dir / "receipt.json").write_text(receipt.model_dump_json(indent=2))
    for ward in WARDS:
        mean = statistics["nights"][ward] / max(1, statistics["visits"][ward])
        print(f"{ward:10} {statistics['visits'][ward]:6} visits, {mean:.2f} nights each")


if __name__ == "__main__":
    entrypoint.run(main, scrubbed=True)
