"""Blocks of any kind, of reviews or of a table: read their files, and merge them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from privatekube import errors
from privatekube.data import block_file, sealed_file
from privatekube.data.metadata import Block
from privatekube.data.tables import block_file as table_file
from privatekube.data.tables.block_file import TableBlock
from privatekube.data.tables.layout import FORMAT
from privatekube.storage import local_files

AnyBlock = Block | TableBlock


def decode(data: bytes, *, name: str, digest: str | None = None) -> AnyBlock:
    """Read a block file from its bytes, and check it.

    Args:
        data: the file.
        name: what to call the file in messages.
        digest: what the block's resource states about the content; None for the file's own statement alone.

    Raises:
        CorruptData: truncated, of another format, or of another content than the digest says.
    """
    with sealed_file.opened(data, name=name) as file:
        is_table = sealed_file.format_of(file) == FORMAT
    if is_table:
        return table_file.decode(data, name=name, digest=digest)
    return block_file.decode(data, name=name, digest=digest)


def read_block(path: str | os.PathLike[str], *, digest: str | None = None) -> AnyBlock:
    """Read a block file of this machine, of reviews or of a table, and check it.

    Args:
        path: the file.
        digest: what the block's resource states about the content; None for the file's own statement alone.

    Returns:
        The records, as `records`, and which part of the dataset they are, as `cut`.

    Raises:
        NotFound: it does not exist.
        InvalidInput: it cannot be read.
        CorruptData: truncated, of another format, or of another content than the digest says.

    Example:
        >>> read_block("nowhere.h5")
        Traceback (most recent call last):
        privatekube.errors.NotFound: file: nowhere.h5 does not exist; check the name
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise local_files.translation(error, path) from error
    return decode(data, name=str(path), digest=digest)


def declared(block: AnyBlock) -> AnyBlock:
    """Return a block without its records: what is public about it."""
    if isinstance(block, TableBlock):
        return replace(block, table=block.table.select(np.empty(0, np.int64)))
    return replace(block, reviews=block.reviews.select(np.empty(0, np.int64)))


def require_one_kind(blocks: Sequence[AnyBlock]) -> None:
    """Check, by what is declared of blocks alone, that they can be merged.

    Raises:
        InvalidInput: no blocks, or of several kinds.
    """
    tables = [block for block in blocks if isinstance(block, TableBlock)]
    reviews = [block for block in blocks if isinstance(block, Block)]
    if tables and reviews:
        raise errors.InvalidInput("blocks: are of reviews and of a table; add a condition that selects one kind")
    if tables:
        table_file.require_one_kind(tables)
    else:
        block_file.require_one_kind([block.metadata for block in reviews])


def merge(blocks: Sequence[AnyBlock]) -> AnyBlock:
    """Return blocks of one kind as one, with the records of all in their order.

    Raises:
        InvalidInput: see `require_one_kind`.
    """
    require_one_kind(blocks)
    tables = [block for block in blocks if isinstance(block, TableBlock)]
    return table_file.merge(tables) if tables else block_file.merge([b for b in blocks if isinstance(b, Block)])
