"""Release noisy counts of all reviews per category and star, and hand the reviews on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privatekube.data import block_file
from privatekube.privacy import mechanisms
from privatekube.steps import arguments, documents, dp_step, interface, opened_blocks, public_log

STARS = range(1, 6)
_AT_ONCE = 1 << 20
"""Reviews that are counted at a time."""


def dp_preprocess(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    blocks: interface.Dataset,
    dataset: interface.OutputDataset,
    statistics: interface.OutputArtifact,
    spend: interface.OutputArtifact,
) -> None:
    """Count the reviews of all blocks per category and star under DP, zeros included.

    Adjacency: one privacy unit of the Grant added or removed; it moves the counts by at most its contribution bound
    (L1).

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        blocks: from download.
        dataset: the reviews, as they are in `blocks`.
        statistics: noisy counts (JSON).
        spend: what the counts cost (JSON).
    """

    def release(granted: documents.Grant) -> dp_step.Release:
        merged = opened_blocks.read_reviews(blocks, granted)
        released = _noisy_counts(merged, granted)
        return dp_step.Release(released.event, (_statistics(released.value, granted),), private=(blocks,))

    dp_step.run(
        "dp_preprocess",
        release,
        grant=grant,
        workspace=workspace,
        outputs=(statistics,),
        private_outputs=(dataset,),
        spend=spend,
    )


def _noisy_counts(
    merged: block_file.Block, granted: documents.Grant
) -> mechanisms.Released[dict[tuple[str, int], int]]:
    keys = [(category, stars) for category in merged.metadata.categories for stars in STARS]
    counts = dict(zip(keys, _counts(merged).tolist(), strict=True))
    noise = _noise(granted)
    released = mechanisms.noisy_histogram(counts, keys, scale=noise.scale, sensitivity=noise.sensitivity)
    public_log.say("counted", scale=noise.scale)
    return released


def _counts(merged: block_file.Block) -> npt.NDArray[np.int64]:
    """Return how many reviews have each category and star, in the order of both: exact, so never without noise."""
    size, reviews = len(merged.metadata.categories) * len(STARS), merged.reviews
    counts = np.zeros(size, np.int64)
    for first in range(0, len(reviews), _AT_ONCE):
        category, stars = (column[first : first + _AT_ONCE] for column in (reviews.category, reviews.stars))
        counts += np.bincount(category.astype(np.int64) * len(STARS) + stars - STARS[0], minlength=size)
    return counts


def _statistics(noisy: dict[tuple[str, int], int], granted: documents.Grant) -> documents.Statistics:
    counts: dict[str, dict[str, int]] = {}
    for (category, stars), count in noisy.items():
        counts.setdefault(category, {})[str(stars)] = count
    return documents.Statistics(counts=counts, noise=_noise(granted), unit=granted.unit)


def _noise(granted: documents.Grant) -> documents.CountNoise:
    return documents.CountNoise.planned(granted.plan.step("dp_preprocess"), max_contribution=granted.max_contribution)


if __name__ == "__main__":
    arguments.run_component(dp_preprocess, reads_data=True)
