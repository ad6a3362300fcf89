"""The data of a run, of reviews or of a table: fetched, checked to be what was granted, and merged into one block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from privatekube import errors
from privatekube.data import any_block, partition, stored_block
from privatekube.data.any_block import AnyBlock
from privatekube.data.metadata import Block
from privatekube.data.tables.block_file import TableBlock
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import documents, granted_blocks
from privatekube.storage import transfers, uris

Progress = Callable[[int, int], None]


def fetch(folder: Path, granted: documents.Grant, *, progress: Progress) -> AnyBlock:
    """Fetch the blocks of a Grant several at a time into the columns of one, and return what is public about it.

    Args:
        folder: a new one, see `stored_block`.
        granted: the Grant of the run.
        progress: called after each block with (blocks done, blocks).

    Raises:
        CorruptData: a block was altered.
        InvalidInput: they are not of one kind, or of another unit.
        NotFound, MissingExtra, Temporary: a block cannot be fetched, see `uris.read_bytes`.
    """

    def checked() -> Iterator[AnyBlock]:
        for done, block in enumerate(transfers.each_in_order(_fetched, granted.blocks), 1):
            granted_blocks.require_unit(block.cut.unit, granted.unit)
            yield block
            progress(done, len(granted.blocks))

    return stored_block.write(folder, checked(), source=_source(granted))


def read(folder: Path, granted: documents.Grant) -> AnyBlock:
    """Return the blocks that download has fetched as one. Its columns are on disk: select the rows that you need.

    Args:
        folder: what download wrote.
        granted: the Grant of the run.

    Raises:
        CorruptData: they were altered, or a unit has more records in them than the Grant bounds.
    """
    block = stored_block.read(folder, source=_source(granted))
    partition.require_bound(block.records, unit=granted.unit, max_contribution=granted.max_contribution)
    return block


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


def require_granted(contents: Sequence[AnyBlock], unit: PrivacyUnit) -> None:
    """Check, by what is declared of blocks alone, that they can be merged and have the unit of the run.

    Raises:
        InvalidInput: they are of several kinds, or of another unit.
    """
    any_block.require_one_kind(contents)
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
    block = any_block.merge(contents)
    partition.require_bound(block.records, unit=unit, max_contribution=max_contribution)
    return block


def _fetched(block: documents.GrantedBlock) -> AnyBlock:
    try:
        encoded = uris.read_bytes(block.uri)
    except errors.NotFound as error:
        missing = f"block {block.id}: {block.uri} does not exist; ask the owner of the data for it"
        raise errors.NotFound(missing) from error
    return any_block.decode(encoded, name=block.uri, digest=block.digest)


def _source(granted: documents.Grant) -> dict[str, str | None]:
    return {block.id: block.digest for block in granted.blocks}
