"""Tell blocks apart that their sketches cannot: the owner of the data looks for each record of one in the other.

A sketch has the smallest hashes of a day. A data set of a few reviews beside one of thousands has too few of them to be
told from a part of it. Whoever has both files can compare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.data import block_file, identify
from privatekube.data.block_file import Block
from privatekube.data.declare import DeclaredSlice
from privatekube.resources.block import PrivateDataBlock
from privatekube.storage import uris


def told_apart(declared: DeclaredSlice, others: Sequence[PrivateDataBlock]) -> DeclaredSlice:
    """Return a slice whose identity names those of `others` that have no record of its blocks.

    A block whose file cannot be read here, is not as it was declared, or is hashed under another public key, is not
    named: it stays unknown whether it has some of the data.

    Args:
        declared: new blocks, whose files are written.
        others: blocks that sketches cannot tell from them.
    """
    mine = [_read(block) for block in declared.blocks] if others else []
    apart = {other.content_digest or "" for other in others if _is_apart(mine, _read(other))}
    return replace(declared, identity=replace(declared.identity, apart_from=frozenset(apart - {""})))


def _is_apart(mine: Sequence[Block | None], other: Block | None) -> bool:
    if other is None:
        return False
    records = set(identify.records(other.reviews))
    return all(
        block is not None
        and block.metadata.partition_key_id == other.metadata.partition_key_id
        and records.isdisjoint(identify.records(block.reviews))
        for block in mine
    )


def _read(block: PrivateDataBlock) -> Block | None:
    """Return the content of a block that states a digest of it; None if it cannot be read or has another one."""
    if block.content_digest is None:
        return None
    try:
        content = uris.read_bytes(block.spec.data_source)
        return block_file.decode(content, name=block.id, digest=block.content_digest)
    except errors.PrivateKubeError:
        return None
