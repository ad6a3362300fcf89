"""Measure a published model on public rows, beside a regression without privacy.

    python examples/tabular_opacus/compare.py out/latest/model.json

The rows are public and cost nothing. The regression without privacy reads the private table: here it is made up, and of
people's data nobody may print it.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from sklearn import linear_model

from privatekube import config, entrypoint

FEATURES, LARGEST = 12, 4.0  # of the schema


def main() -> None:
    """Print both accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="published weights")
    parser.add_argument("--folder", type=Path, default=Path(), help="where customers.csv and public.csv are")
    options = parser.parse_args()
    published = json.loads(config.read_text(options.model))
    weights = published.get("weights", published)
    features, labels = read(options.folder / "public.csv")
    scores = features @ np.array(weights["weight"]).T + weights["bias"]
    exact = linear_model.LogisticRegression().fit(*read(options.folder / "customers.csv"))
    print(f"accuracy of the published model  {(scores.argmax(1) == labels).mean():.3f}")
    print(f"accuracy without privacy         {exact.score(features, labels):.3f}")


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return features in [-1, 1], float64 [N, F], and labels [N]."""
    text = io.StringIO(config.read_text(path))
    rows = np.loadtxt(text, delimiter=",", skiprows=1, usecols=range(1, FEATURES + 2))
    return rows[:, :-1].clip(-LARGEST, LARGEST) / LARGEST, rows[:, -1]


if __name__ == "__main__":
    entrypoint.run(main)
