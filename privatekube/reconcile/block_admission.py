"""Create and delete blocks: no data gets a second budget, and what was committed on it outlives its block."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.privacy import budget, budget_text, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.reconcile import earlier_data, ledger_entries
from privatekube.reconcile.earlier_data import Catalogue
from privatekube.resources import ledger, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity, Overlap
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.retired_data import RetiredData
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
        missing = [block for block in blocks if not _exists(block, existing)]
        if blocks and not missing:
            raise errors.AlreadyExists(
                f"block {blocks[0].id}: its data is registered already, and a budget is never refreshed; "
                "create other days, or use what is left: privatekube get blocks"
            )
        by_id = {identity.id: identity for identity in identities}
        catalogue = Catalogue(store, by_id)
        catalogue.add([*existing, *store.list_retired()])
        names = {block.id for block in existing}
        for number, block in enumerate(missing):
            require_new_name(block, names)
            require_admissible(block, catalogue)
            _require_other_days(block, [*existing, *missing[:number]])
            catalogue.add([block])
            names.add(block.id)
        for identity_id in dict.fromkeys(block.identity_id for block in missing):
            if identity_id in by_id:
                store.keep_identity(by_id[identity_id])
        return [store.create(replace(block, status=None)) for block in missing]


def remove(store: ResourceStore, block: PrivateDataBlock, *, now_ms: int) -> None:
    """Delete a block, and record what was committed on its data.

    Budget that claims acquired and did not settle counts as committed: nobody can prove that the data was not read.
    """
    with store.transaction():
        unsettled = tuple(ledger_entries.unsettled_entries(block, now_ms))
        if block.status is not None:  # a block that was never admitted has nothing to add to an earlier record
            initial, committed = block.spec.initial_budget, transitions.charges(block)
            place = (block.spec.dataset, ledger.data_key(block), block.id)
            store.retire(RetiredData(*place, initial, committed, unsettled, DeclaredData.of(block)))
        store.delete(block)
        for entry in unsettled:
            store.append(entry)


def require_admissible(block: PrivateDataBlock, catalogue: Catalogue) -> list[RetiredData]:
    """Check that a new block may be admitted beside the blocks of a catalogue.

    Args:
        block: the new block.
        catalogue: the blocks that it may not share a record with, and the records of deleted ones.

    Returns:
        The records of the deleted blocks with some of its data on which something was committed.

    Raises:
        AlreadyExists: some of its data has a block, and so a budget, or it cannot be told whether it has.
        InvalidBudget: its data had another initial budget or privacy unit.
    """
    if block.identity_id is not None and catalogue.identity_of(DeclaredData.of(block)) is None:
        raise errors.AlreadyExists(
            f"block {block.id}: the identity of its data is not in the store, so it cannot be told which budget the "
            "data had; delete it, and create it again"
        )
    _require_record_stays(block, catalogue.record_of(block))
    records = []
    for match in catalogue.matches(block):
        earlier = match.earlier
        if match.overlap is Overlap.UNKNOWN and not (isinstance(earlier, RetiredData) and _is_unused(earlier)):
            raise _unknown(block, earlier)
        if isinstance(earlier, PrivateDataBlock):
            raise errors.AlreadyExists(
                f"block {block.id}: some of its data is registered as {earlier.id}, and a budget is never refreshed; "
                "use that block, or create other days"
            )
        if match.overlap is Overlap.SAME:
            _require_same_terms(block, earlier)
            records += [] if _is_unused(earlier) else [earlier]
    return records


def _require_record_stays(block: PrivateDataBlock, record: RetiredData | None) -> None:
    """Check that a block that will replace a record says as much of the data as the record does.

    Otherwise deleting it would lose what the data of the record is recognised by.
    """
    before, now = None if record is None else record.declared, DeclaredData.of(block)
    if record is None or before is None or _is_unused(record):
        return
    is_moved = block.content_digest is None and now.source != before.source
    if is_moved or now.numbers != before.numbers or (now.identity_id is None and before.identity_id is not None):
        raise errors.AlreadyExists(
            f"block {block.id}: the record of the deleted block {record.block_id} would be replaced by one that says "
            "something else of its data; create it as it was, or under another name"
        )


def _require_other_days(block: PrivateDataBlock, existing: Iterable[PrivateDataBlock]) -> None:
    """Check that a block without a digest declares other days or users than those of its dataset and namespace."""
    for other in existing if block.content_digest is None else ():
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


def _unknown(block: PrivateDataBlock, earlier: PrivateDataBlock | RetiredData) -> errors.AlreadyExists:
    if isinstance(earlier, PrivateDataBlock):
        name, remedy = f"block {earlier.id}", "use that block"
    else:
        name = f"the deleted block {earlier.block_id}"
        remedy = f"create it in its dataset {earlier.dataset!r}, where it bears what was committed"
    return errors.AlreadyExists(
        f"block {block.id}: it cannot be told whether {name} has some of the same data, and a budget is never "
        f"refreshed; {remedy}, or create other days"
    )


def _require_same_terms(block: PrivateDataBlock, record: RetiredData) -> None:
    """Check that a new block has the budget and the unit that its data had.

    The cost of one unit cannot be told from that of another, nor that in Renyi from that in epsilon-delta: they may
    change only as long as nothing was committed.
    """
    is_unused = _is_unused(record)
    if not (is_unused and _is_equivalent(record.initial_budget, block.spec.initial_budget)):
        _require_same_budget(block, record.initial_budget)
    unit, unit_before = DeclaredData.of(block).unit, None if record.declared is None else record.declared.unit
    if None not in (unit, unit_before) and unit != unit_before and not is_unused:
        raise errors.InvalidBudget(
            f"block {block.id}: its unit is {unit}, but budget was committed on its data per {unit_before}; "
            f"create it with --unit {unit_before}"
        )


def _is_unused(record: RetiredData) -> bool:
    """Return whether nothing was committed on deleted data."""
    return not earlier_data.exceeds(record.total, record.initial_budget * 0.0)


def _is_equivalent(before: PrivacyBudget, now: PrivacyBudget) -> bool:
    """Return whether one budget is the Renyi form of the other."""
    match before, now:
        case (EpsilonDelta() as whole, RenyiCurve() as curve) | (RenyiCurve() as curve, EpsilonDelta() as whole):
            forms = (budget.to_renyi(whole, curve.orders), renyi_filter.capacity(whole, curve.orders))
            return any(budget.is_close(form, curve) for form in forms)
    return False


def _require_same_budget(block: PrivateDataBlock, before: PrivacyBudget) -> None:
    if not budget.is_close(before, block.spec.initial_budget):
        known, asked = budget_text.differing(before, block.spec.initial_budget)
        raise errors.InvalidBudget(
            f"block {block.id}: its data has the budget {known}, asked {asked}; "
            "a budget is for the data's whole lifetime: create it with the same"
        )


def _exists(block: PrivateDataBlock, existing: Iterable[PrivateDataBlock]) -> bool:
    """Whether a block of the same name and the same data exists.

    Raises:
        InvalidBudget: it exists with another initial budget.
    """
    for other in existing:
        if other.id == block.id and other.spec.dataset == block.spec.dataset and _is_same_data(other, block):
            _require_same_budget(block, other.spec.initial_budget)
            return True
    return False


def _is_same_data(other: PrivateDataBlock, block: PrivateDataBlock) -> bool:
    """Return whether a block of the same name holds the same data; an earlier version stated a plain digest of it."""
    if other.content_digest is None or block.content_digest is None:
        return False
    if other.identity_id is None and block.identity_id is not None:
        return (other.spec.data_source, other.spec.dimensions) == (block.spec.data_source, block.spec.dimensions)
    return other.content_digest == block.content_digest
