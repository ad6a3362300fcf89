"""Make a private table of customers, and a public one of the same kind to measure accuracy on.

    python examples/tabular_opacus/make_table.py

writes `customers.csv` with 32,000 rows and `public.csv` with 8,000.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sklearn import datasets

PRIVATE_ROWS, PUBLIC_ROWS = 32_000, 8_000
FEATURES = tuple(f"f{number}" for number in range(12))
HEADER = ("customer", *FEATURES, "bought")


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write the tables")
    parser.add_argument("--seed", type=int, default=1, help="of the tables")
    options = parser.parse_args()
    features, labels = datasets.make_classification(
        n_samples=PRIVATE_ROWS + PUBLIC_ROWS,
        n_features=len(FEATURES),
        n_informative=8,
        n_clusters_per_class=1,
        class_sep=0.8,
        flip_y=0.05,
        random_state=options.seed,
    )
    rows = np.column_stack([np.arange(len(labels)), features.round(4), labels])
    write(options.folder / "customers.csv", rows[:PRIVATE_ROWS])
    write(options.folder / "public.csv", rows[PRIVATE_ROWS:])


def write(path: Path, rows: Iterable[np.ndarray]) -> None:
    """Write rows of a customer, its features and its label."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        table.writerows((f"c{int(row[0])}", *row[1:-1].tolist(), int(row[-1])) for row in rows)


if __name__ == "__main__":
    main()
