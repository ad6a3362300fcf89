"""The data of a run, of reviews or of a table: checked to be what was granted, and merged into one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from privatekube import errors
from privatekube.data import any_block, block_file, partition
from privatekube.data.any_block import AnyBlock
from privatekube.data.metadata import Block
from privatekube.data.tables import block_file as table_file
from privatekube.data.tables.block_file import TableBlock
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import documents, granted_blocks


def path(folder: Path, number: int) -> Path:
    """Return where the step download writes the block of that number, in the order of the Grant."""
    return folder / f"{number:05d}.h5"


def read(folder: Path, granted: documents.Grant) -> AnyBlock:
    """Return the blocks that download has fetched as one.

    Args:
        folder: what download wrote.
        granted: the Grant of the run.

    Raises:
        CorruptData: a block was altered, or a unit has more records in them than the Grant bounds.
        InvalidInput: they are not of one kind, or of another unit.
    """
    contents = [
        any_block.read_block(path(folder, number), digest=block.digest) for number, block in enumerate(granted.blocks)
    ]
    return merged(contents, unit=granted.unit, max_contribution=granted.max_contribution)


def read_reviews(folder: Path, granted: documents.Grant) -> Block:
    """Return the blocks as `read` does; CorruptData if they are not of reviews."""
    block = read(folder, granted)
    if not isinstance(block, Block):
        raise errors.CorruptData("blocks: are of a table, not of reviews; claim another dataset")
    return block


def read_table(folder: Path, granted: documents.Grant) -> TableBlock:
    """Return the blocks as `read` does; CorruptData if they are not of a table."""
    block = read(folder, granted)
    if not isinstance(block, TableBlock):
        raise errors.CorruptData("blocks: are of reviews, not of a table; claim another dataset")
    return block


def declared(block: AnyBlock) -> AnyBlock:
    """Return a block without its records: what is public about it."""
    if isinstance(block, TableBlock):
        return replace(block, table=block.table.select(np.zeros(len(block.table), dtype=np.bool_)))
    return replace(block, reviews=block.reviews.select(np.zeros(len(block.reviews.time), dtype=np.bool_)))


def require_granted(contents: Sequence[AnyBlock], unit: PrivacyUnit) -> None:
    """Check, by what is declared of blocks alone, that they can be merged and have the unit of the run.

    Raises:
        InvalidInput: they are of several kinds, or of another unit.
    """
    tables = [block for block in contents if isinstance(block, TableBlock)]
    reviews = [block for block in contents if isinstance(block, Block)]
    if tables and reviews:
        raise errors.InvalidInput("blocks: are of reviews and of a table; add a condition that selects one kind")
    if tables:
        table_file.require_one_kind(tables)
    else:
        block_file.require_one_kind([block.metadata for block in reviews])
    granted_blocks.require_unit(contents[0].cut.unit, unit)


def merged(contents: Sequence[AnyBlock], *, unit: PrivacyUnit, max_contribution: int) -> AnyBlock:
    """Return the blocks of a run as one.

    Args:
        contents: the blocks.
        unit: the privacy unit of the run.
        max_contribution: how many records a unit may have in all of them.

    Raises:
        InvalidInput: see `require_granted`.
        CorruptData: a unit has more records in them.
    """
    require_granted(contents, unit)
    tables = [block for block in contents if isinstance(block, TableBlock)]
    reviews = [block for block in contents if isinstance(block, Block)]
    block: AnyBlock = table_file.merge(tables) if tables else block_file.merge(reviews)
    partition.require_bound(block.records, unit=unit, max_contribution=max_contribution)
    return block
