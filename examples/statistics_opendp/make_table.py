"""Make a private table of hospital visits.

    python examples/statistics_opendp/make_table.py

writes `visits.csv`: 20,000 visits of 12,000 patients in January 2026.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

VISITS, PATIENTS = 20_000, 12_000
WARDS = ("surgery", "medicine", "children", "births")


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write the table")
    parser.add_argument("--seed", type=int, default=1, help="of the table")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    patients = [f"p{number}" for number in random.integers(PATIENTS, size=VISITS)]
    wards = random.choice(WARDS, size=VISITS, p=(0.4, 0.35, 0.15, 0.1))
    nights = random.geometric(0.25, size=VISITS) - 1
    with (options.folder / "visits.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("visit", "patient", "ward", "nights"))
        table.writerows(zip(range(VISITS), patients, wards.tolist(), nights.tolist(), strict=True))


if __name__ == "__main__":
    main()
