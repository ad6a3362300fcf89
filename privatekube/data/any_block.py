"""Read a block file of any kind: reviews, or a table."""

from __future__ import annotations

import os
from pathlib import Path

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
