"""Blocks that have the same amounts in all maps of a document, written once as a group.

A claim names each of its blocks in several maps of budgets, as PrivateKube does. On 1,000 blocks with Renyi budgets of
13 orders that is 3 MB, twice what an API server takes. But the amounts are few, usually one. So a document with many
amounts has groups of blocks beside the maps, and the keys of its maps are those of the groups:

    {"blockGroups": {"#0": ["ns/a", "ns/b"]}, "acquiredBudgets": {"#0": {"epsDel": {"epsilon": 1.0, "delta": 0.0}}}}

All other documents are written as PrivateKube writes them. A reader that does not know groups finds blocks that do not
exist, and none of the claim's: it takes nothing as granted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds
from privatekube.resources.wire import common
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

FIELD = "blockGroups"
MOST_IN_STATUS, MOST_IN_REQUEST = 340_000, 700_000
"""The size of a map in bytes up to which a status and a request have no groups.

A claim whose status has larger maps was refused by versions without groups, so none of theirs is written in another
form. A request, which must never change once it is written, may be one of a refused claim.
"""
ENTRY_BYTES = 160
"""What an entry takes besides its amounts and names: the keys of the JSON, the state and the owner of a lock."""
_FEW = 64
"""Blocks that need no groups, whatever their amounts."""
_PREFIX = "#"
"""Begins the key of a group, and of no block, whose id is `namespace/name`."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BlockGroups:
    """Groups of blocks of one document; without any, the keys of its maps are the ids of blocks.

    Args:
        blocks: the ids in each group, by its key; no block is in two groups.
    """

    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, maps: Iterable[Mapping[str, object]]) -> BlockGroups:
        """Return groups of the blocks that have equal entries in all of these maps, by block id."""
        maps = list(maps)
        members: dict[tuple[object, ...], list[str]] = {}
        for block_id in sorted(set().union(*maps)):
            members.setdefault(tuple(entries.get(block_id) for entries in maps), []).append(block_id)
        return cls({f"{_PREFIX}{number}": tuple(group) for number, group in enumerate(members.values())})

    @classmethod
    def from_wire(cls, document: Reader) -> BlockGroups:
        """Read the groups of a document.

        Raises:
            InvalidInput: they are malformed, or a block is in two of them.
        """
        fields = document.child(FIELD)
        blocks = {str(key): fields.text_list(str(key)) for key in fields.document}
        ids = [block_id for group in blocks.values() for block_id in group]
        for block_id in ids:
            bounds.require_text(fields.path, block_id, bounds.BLOCK_ID)
        if len(set(ids)) < len(ids):
            raise errors.InvalidInput(f"{fields.path}: a block is named twice; name it once")
        return cls(blocks)

    def to_wire(self) -> Json:
        """Return the groups as the fields of a document."""
        return {FIELD: {key: list(group) for key, group in self.blocks.items()}} if self.blocks else {}

    def by_group(self, entries: Mapping[str, T]) -> dict[str, T]:
        """Return the entries of a map, by block id, as a document with these groups has them."""
        if not self.blocks:
            return dict(entries)
        return {key: entries[group[0]] for key, group in self.blocks.items() if group[0] in entries}

    def by_block(self, entries: Mapping[str, T], path: str) -> dict[str, T]:
        """Return the entries of a map of a document with these groups, by block id.

        Raises:
            InvalidInput: a key is not that of a group; the message has `path`.
        """
        if not self.blocks:
            return dict(entries)
        if unknown := sorted(entries.keys() - self.blocks.keys()):
            raise errors.invalid(path, unknown[0], f"is not one of {FIELD}", "name a group there")
        return {block_id: entry for key, entry in entries.items() for block_id in self.blocks[key]}

    def held_by_block(self, entries: Mapping[str, T], path: str) -> dict[str, T]:
        """Return what is held or was charged, as `by_block` does.

        Raises:
            InvalidInput: besides, it names a group, and the document lost its groups, as it does where the API server
                has the definitions of an earlier version.
        """
        lost = [key for key in entries if key.startswith(_PREFIX)]
        if lost and not self.blocks:
            raise errors.invalid(path, lost[0], f"names a group, and {FIELD} is missing", "restore a backup")
        return self.by_block(entries, path)


def are_many(amounts: Iterable[tuple[str, PrivacyBudget]], *, most_bytes: int) -> bool:
    """Return whether a document with these amounts on blocks has groups.

    Args:
        amounts: ids and amounts; of several on one block the largest counts.
        most_bytes: the size of a map without groups.
    """
    sizes: dict[str, int] = {}
    for block_id, amount in amounts:
        sizes[block_id] = max(sizes.get(block_id, 0), entry_bytes(block_id, amount))
    return len(sizes) > bounds.MAP_ENTRIES or (len(sizes) > _FEW and sum(sizes.values()) > most_bytes)


def entry_bytes(key: str, amount: PrivacyBudget) -> int:
    """Return the size of an entry of a map, at most."""
    return ENTRY_BYTES + len(key) + budget_bytes(amount)


@lru_cache(maxsize=4096)
def budget_bytes(amount: PrivacyBudget) -> int:
    """Return the size of an amount as JSON."""
    return len(json.dumps(common.budget_to_wire(amount)))
