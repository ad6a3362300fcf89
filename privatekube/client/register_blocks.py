"""Register blocks whose files are written, with what tells their data from that of other blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.data import comparison
from privatekube.data.declare import DeclaredSlice


@dataclass(frozen=True)
class Registered:
    """How many blocks were registered.

    Args:
        created: new ones.
        existing: those that existed already.
    """

    created: int
    existing: int


def register(client: BudgetClient, declared: Sequence[DeclaredSlice], *, exist_ok: bool) -> Registered:
    """Register the blocks of some slices, after comparing them with blocks that may have some of their data.

    Args:
        client: of the control plane.
        declared: the slices, whose files are written.
        exist_ok: whether all of them may exist already.

    Raises:
        AlreadyExists: some of the data is registered already.
    """
    blocks = [block for item in declared for block in item.blocks]
    indistinct = client.indistinct_blocks(blocks, [item.identity for item in declared])
    apart = [comparison.told_apart(item, indistinct.get(item.identity.id, [])) for item in declared]
    try:
        created = len(client.create_blocks(blocks, [item.identity for item in apart]))
    except errors.AlreadyExists:
        registered = {block.id for block in client.list_blocks()}
        if not exist_ok or any(block.id not in registered for block in blocks):
            raise
        created = 0
    return Registered(created, len(blocks) - created)
