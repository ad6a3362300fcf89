"""Tell blocks apart that their sketches cannot: the owner of the data looks for each record of one in the other.

A sketch has the smallest hashes of a day. A data set of a few reviews beside one of thousands has too few of them to be
told from a part of it. Anyone who has both files can compare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.data import any_block, identify
from privatekube.data.any_block import AnyBlock
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


def _is_apart(mine: Sequence[AnyBlock | None], other: AnyBlock | None) -> bool:
    return other is not None and all(block is not None and _share_nothing(block, other) for block in mine)


def _share_nothing(one: AnyBlock, other: AnyBlock) -> bool:
    """Whether no record of one is in the other, by the columns that both are recognised by."""
    if one.cut.partition_key_id != other.cut.partition_key_id:
        return False
    mine, theirs = one.records.recognised_by, other.records.recognised_by
    common = [name for name in mine if name in theirs]
    rows = set(identify.rows_of(mine[name] for name in common))
    return rows.isdisjoint(identify.rows_of(theirs[name] for name in common))


def _read(block: PrivateDataBlock) -> AnyBlock | None:
    """Return the content of a block that states a digest of it; None if it cannot be read or has another one."""
    if block.content_digest is None:
        return None
    try:
        content = uris.read_bytes(block.spec.data_source)
        return any_block.decode(content, name=block.id, digest=block.content_digest)
    except errors.PrivateKubeError:
        return None
