"""Builders of blocks with files, for runs within one program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from privatekube.data import block_file, columns
from privatekube.data.metadata import Block
from privatekube.data.tables.block_file import TableBlock
from privatekube.interactive.run import Run
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta

STARS = (1, 5, 5, 3, 5, 5, 2, 5)
"""The stars of the reviews of each block, one review by each of eight users."""
BUDGET = EpsilonDelta(10.0, 1e-6)


def reviews(stars: Sequence[int], *, day: int) -> columns.Reviews:
    """Return reviews with these stars, one of each user, all on one day."""
    n = len(stars)
    return columns.Reviews(
        user=np.arange(n),
        product=np.zeros(n, np.int64),
        time=np.full(n, columns.FIRST_DAY_SECONDS + day * columns.SECONDS_PER_DAY),
        category=np.zeros(n, np.int16),
        stars=np.array(stars, np.int8),
        summary_length=np.zeros(n, np.int32),
        tokens=np.empty(0, np.int32),
        offsets=np.zeros(n + 1, np.int64),
    )


def block(
    folder: Path,
    day: int = 0,
    *,
    budget: PrivacyBudget = BUDGET,
    stars: Sequence[int] = STARS,
    unit: PrivacyUnit = PrivacyUnit.EVENT,
    max_contribution: int = 1,
) -> PrivateDataBlock:
    """Write the file of a block of one day, and return the block; it is named by its day."""
    metadata = block_file.Metadata(
        "d", day, day, 0, 1, "key", "sha256:words", 100, "words", unit, max_contribution, ("a",)
    )
    file = folder / f"day-{day}.h5"
    digest = block_file.write(file, reviews(stars, day=day), metadata)
    numbers = {"startTime": day, "endTime": day, "maxContribution": max_contribution}
    dimensions = [Dimension(name, numeric_value=str(value)) for name, value in numbers.items()]
    return PrivateDataBlock(
        ObjectMeta(f"day-{day}", "ns", annotations={CONTENT_DIGEST: digest}),
        BlockSpec(budget, "d", file.as_uri(), (*dimensions, Dimension("unit", string_value=unit))),
    )


def opened(run: Run) -> Block:
    """Open a run on reviews."""
    block = run.open()
    assert isinstance(block, Block)
    return block


def opened_table(run: Run) -> TableBlock:
    """Open a run on a table."""
    block = run.open()
    assert isinstance(block, TableBlock)
    return block
