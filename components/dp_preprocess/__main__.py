"""Merge the blocks into one dataset and release noisy counts per category and star."""

from __future__ import annotations

import json
from pathlib import Path

from privatekube.data import block_file
from privatekube.privacy import events, mechanisms
from privatekube.steps import arguments, documents, public_log

STARS = range(1, 6)


def dp_preprocess(*, grant: Path, blocks: Path, dataset: Path, statistics: Path, spend: Path) -> None:
    """Merge the HDF5 files of the folder `blocks` and count reviews per category and star under DP, zeros included.

    Adjacency: one privacy unit of the Grant added or removed; it moves the counts by at most its contribution bound
    (L1). Writes the merged blocks to `dataset`, the noisy counts to `statistics` and what they cost to `spend`.
    """
    granted = documents.read(documents.Grant, grant)
    inputs = documents.digest(grant)
    if documents.finished(spend, claim=granted.claim, inputs=inputs, outputs=(dataset, statistics)):
        public_log.say("kept")
        return
    files = [(blocks / f"{number:05d}.h5", each.digest) for number, each in enumerate(granted.blocks)]
    merged = block_file.merge([block_file.read(path, digest=digest) for path, digest in files])
    block_file.require_bound(merged, unit=granted.unit, max_contribution=granted.max_contribution)
    block_file.write(dataset, merged.reviews, merged.metadata)

    scale, sensitivity = granted.plan.statistics_scale, granted.plan.sensitivity
    categories = merged.metadata.categories
    keys = [(category, stars) for category in categories for stars in STARS]
    released = mechanisms.noisy_histogram(_counts(merged), keys, scale=scale, sensitivity=sensitivity)
    document = {
        "schema_version": documents.SCHEMA_VERSION,
        "counts": {c: {str(s): released.value[c, s] for s in STARS} for c in categories},
        "noise": {"mechanism": "discrete Laplace", "scale": scale, "sensitivity": sensitivity},
        "unit": granted.unit,
        "adjacency": "add or remove one unit",
    }
    statistics.parent.mkdir(parents=True, exist_ok=True)
    statistics.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    used = documents.Spend(
        step="dp_preprocess", claim=granted.claim, part="all", event=events.to_json(released.event), inputs=inputs
    )
    documents.write(used, spend)
    public_log.say("counted", scale=scale)


def _counts(merged: block_file.Block) -> dict[tuple[str, int], int]:
    counts: dict[tuple[str, int], int] = {}
    for category, stars in zip(merged.reviews.category, merged.reviews.stars, strict=True):
        key = merged.metadata.categories[int(category)], int(stars)
        counts[key] = counts.get(key, 0) + 1
    return counts


if __name__ == "__main__":
    arguments.component(dp_preprocess, reads_data=True)
