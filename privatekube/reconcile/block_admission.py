"""Create and delete blocks: no data gets a second budget, and what was committed on it outlives its block."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.engine import admission, run_pass
from privatekube.engine.catalogue import Catalogue
from privatekube.engine.world import World
from privatekube.reconcile import apply, read_world
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity, Overlap
from privatekube.resources.declared_data import DeclaredData
from privatekube.store.base import ResourceStore

OWNER_KEY, _OWNER_KEY_BYTES = "data-owner-key", 32
"""Name of the store's secret with which a data owner hashes records, and its length."""


def owner_key(store: ResourceStore) -> bytes:
    """Return the secret key of the data owner; it is created on first use."""
    return store.ensure_secret(OWNER_KEY, secrets.token_bytes(_OWNER_KEY_BYTES))


def register(
    store: ResourceStore, blocks: Sequence[PrivateDataBlock], identities: Iterable[DataIdentity] = ()
) -> list[PrivateDataBlock]:
    """Create those of `blocks` that do not exist yet, and return them; in one transaction if the store supports them.

    Data that was in an earlier block starts from what was committed on it: the next pass writes that into the block's
    first status.

    Args:
        store: where they go.
        blocks: what to create.
        identities: of their data; those that created blocks name are stored first.

    Raises:
        AlreadyExists: all exist already, or a name or the same data belongs to another block.
        InvalidBudget: the data has or had another initial budget or privacy unit.
    """
    with store.transaction():
        existing = store.list_blocks()
        by_name = {block.id: block for block in existing}
        missing = [block for block in blocks if not _exists(block, by_name.get(block.id))]
        if blocks and not missing:
            raise errors.AlreadyExists(
                f"block {blocks[0].id}: its data is registered already, and a budget is never refreshed; "
                "create other days, or use what is left: privatekube get blocks"
            )
        by_id = {identity.id: identity for identity in identities}
        records = read_world.earlier_records(store, [*existing, *missing])
        catalogue = Catalogue(existing, replace(records, identities={**records.identities, **by_id}))
        names = set(by_name)
        for block in missing:
            require_new_name(block, names)
            admission.require_admissible(block, catalogue)
            _require_other_days(block, catalogue)
            catalogue.add([block])
            names.add(block.id)
        for identity_id in dict.fromkeys(block.identity_id for block in missing):
            if identity_id in by_id:
                store.keep_identity(by_id[identity_id])
        return [store.create(replace(block, status=None)) for block in missing]


def indistinct(
    store: ResourceStore, blocks: Sequence[PrivateDataBlock], identities: Iterable[DataIdentity]
) -> dict[str, list[PrivateDataBlock]]:
    """Return the existing blocks that sketches cannot tell from new ones, by the id of the new identity.

    Args:
        store: has the existing blocks.
        blocks: the new ones.
        identities: of their data.
    """
    existing = store.list_blocks()
    names = {block.id for block in existing}
    records = replace(read_world.earlier_records(store, existing), retired=())
    by_id = {identity.id: identity for identity in identities}
    catalogue = Catalogue(existing, replace(records, identities={**records.identities, **by_id}))
    found: dict[str, dict[str, PrivateDataBlock]] = {}
    for block in blocks:
        if block.id in names or block.identity_id is None:
            continue
        for match in catalogue.matches(block):
            if match.overlap is Overlap.UNKNOWN and isinstance(match.earlier, PrivateDataBlock):
                found.setdefault(block.identity_id, {})[match.earlier.id] = match.earlier
    return {identity_id: list(others.values()) for identity_id, others in found.items()}


def remove(store: ResourceStore, block: PrivateDataBlock, *, now_ms: int) -> None:
    """Delete a block, and record what was committed on its data.

    Budget that claims acquired and did not settle counts as committed: nobody can prove that the data was not read.
    """
    with store.transaction():
        open_claims = store.list_claims(open_only=True)
        holders = {claim.id: claim for claim in open_claims if block.id in claim.status.acquired}
        world = World(now_ms, {block.id: block}, holders)
        apply.apply(store, world, run_pass.remove(world, block.id))


def _require_other_days(block: PrivateDataBlock, catalogue: Catalogue) -> None:
    """Check that a block without a digest declares other days or users than those of its dataset and namespace."""
    for other in catalogue.near(block) if block.content_digest is None else ():
        place = (other.meta.namespace, other.spec.dataset)
        if place == (block.meta.namespace, block.spec.dataset) and DeclaredData.of(block).overlaps(
            DeclaredData.of(other)
        ):
            raise errors.AlreadyExists(
                f"block {block.id}: its days and users overlap those of {other.id}, and a budget is never refreshed; "
                "use that block, or create other days"
            )


def require_new_name(block: PrivateDataBlock, names: Iterable[str]) -> None:
    """Check that the name of a new block is not taken.

    Raises:
        AlreadyExists: it is.
    """
    if block.id in names:
        raise errors.AlreadyExists(
            f"block {block.id}: exists with other data; use that block, create other days, or delete it first"
        )


def _exists(block: PrivateDataBlock, other: PrivateDataBlock | None) -> bool:
    """Whether the block that has the name of a new one, if there is one, is of the same data.

    Raises:
        InvalidBudget: it has another initial budget.
    """
    if other is None or other.spec.dataset != block.spec.dataset or not _is_same_data(other, block):
        return False
    admission.require_same_budget(block, other.spec.initial_budget)
    return True


def _is_same_data(other: PrivateDataBlock, block: PrivateDataBlock) -> bool:
    """Return whether a block of the same name holds the same data; an earlier version stated a plain digest of it."""
    if other.content_digest is None or block.content_digest is None:
        return False
    if other.identity_id is None and block.identity_id is not None:
        return (other.spec.data_source, other.spec.dimensions) == (block.spec.data_source, block.spec.dimensions)
    return other.content_digest == block.content_digest
