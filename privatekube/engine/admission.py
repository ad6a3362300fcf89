"""Admit new blocks: no data gets a second budget."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from privatekube import errors
from privatekube.engine import earlier_data
from privatekube.engine.catalogue import Catalogue
from privatekube.engine.changes import LedgerEntry
from privatekube.engine.draft import Draft
from privatekube.engine.earlier_data import Recorded
from privatekube.engine.world import Records
from privatekube.errors import ResourceKind
from privatekube.privacy import arithmetic, budget_text, renyi_conversion, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import Overlap
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData


def admit_blocks(draft: Draft) -> None:
    """Give blocks without a status one: all of their budget is locked, except what was committed on their data before.

    Such a block is new, or its status was lost. A block with data of another block, or with data that had another
    budget before, is not admitted: nothing can be claimed on it. One that is marked for deletion gets a status only for
    its record, where something was committed or is held on it.
    """
    records = draft.world.records
    blocks = [*draft.blocks.values(), *draft.set_aside_blocks.values()]
    decisions = [decision for decision in decide_admission(blocks, records) if decision.block.id in draft.blocks]
    if not decisions:
        return
    recorded = Recorded(records.entries, records.claims)
    retired = [record for decision in decisions if isinstance(decision, Admissible) for record in decision.retired]
    _enter(draft, [entry for record in retired for entry in record.unsettled if recorded.add(entry)])
    for decision in decisions:
        match decision:
            case Admissible(block):
                with draft.isolated_block(block.id):
                    _admit(draft, decision, recorded)
            case Refused(block) if block.meta.is_deleted:
                with draft.isolated_block(block.id):
                    if earlier_data.was_admitted(block, recorded):  # its record is its own, whatever refuses it now
                        _admit(draft, Admissible(block, ()), recorded)
            case Refused(block, error):
                draft.drop_block(block.id)
                if not isinstance(error, errors.PrivateKubeError):
                    draft.set_aside(errors.ResourceName(ResourceKind.BLOCK, block.id), error)


@dataclass(frozen=True, slots=True)
class Admissible:
    """A new block that may be admitted, and the records of deleted blocks that had its data."""

    block: PrivateDataBlock
    retired: Sequence[RetiredData]


@dataclass(frozen=True, slots=True)
class Refused:
    """A new block that is not admitted, and why."""

    block: PrivateDataBlock
    error: Exception


def new_blocks(blocks: Iterable[PrivateDataBlock]) -> list[PrivateDataBlock]:
    """Return the blocks that are to be admitted, after those that are only to be recorded and deleted."""
    new = [block for block in blocks if block.status is None]
    return sorted(new, key=lambda block: not block.meta.is_deleted)


def decide_admission(blocks: Collection[PrivateDataBlock], records: Records) -> Iterator[Admissible | Refused]:
    """Yield what is to be done with each new block among `blocks`; it raises nothing, whatever the blocks say."""
    candidates = new_blocks(blocks)
    if not candidates:
        return
    try:
        catalogue = Catalogue.of_admitted(blocks, records)
    except Exception as error:  # noqa: BLE001 - an admitted block is wrong, so no data can be compared with it
        yield from (Refused(block, error) for block in candidates)
        return
    yield from (_decide(block, catalogue) for block in candidates)


def _decide(block: PrivateDataBlock, catalogue: Catalogue) -> Admissible | Refused:
    try:
        decision = Admissible(block, require_admissible(block, catalogue))
        catalogue.add([block])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a block must not stop the others
        return Refused(block, error)
    return decision


def _admit(draft: Draft, decision: Admissible, recorded: Recorded) -> None:
    """Give a block its first status, and enter what of it the ledger lacks."""
    block = decision.block
    lost = list(earlier_data.lost_holdings(block, recorded, draft.now_ms))
    inheritance = earlier_data.inherited(block, decision.retired, [*recorded.of_data(block), *lost])
    entry = inheritance.entry(block, draft.now_ms)
    _enter(draft, [*lost, *([] if entry is None else [entry])])
    if inheritance.committed or not block.meta.is_deleted:
        draft.stage_block(transitions.initialize_status(block, inheritance.committed))


def _enter(draft: Draft, entries: Iterable[Entry]) -> None:
    for entry in entries:
        draft.add(LedgerEntry(entry))


def require_admissible(block: PrivateDataBlock, catalogue: Catalogue) -> list[RetiredData]:
    """Check that a new block may be admitted beside the blocks of a catalogue.

    Args:
        block: the new block.
        catalogue: the blocks that it may not share a record with, and the records of deleted ones.

    Returns:
        The records of the deleted blocks on which something was committed, and which have or may have some of its data.

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
        if isinstance(earlier, PrivateDataBlock):
            raise _taken(block, earlier, match.overlap)
        if match.overlap is Overlap.SAME or not _is_unused(earlier):
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


def _taken(block: PrivateDataBlock, earlier: PrivateDataBlock, overlap: Overlap) -> errors.AlreadyExists:
    if overlap is Overlap.SAME:
        return errors.AlreadyExists(
            f"block {block.id}: some of its data is registered as {earlier.id}, and a budget is never refreshed; "
            "use that block, or create other days"
        )
    return errors.AlreadyExists(
        f"block {block.id}: it cannot be told whether block {earlier.id} has some of the same data, and a budget is "
        "never refreshed; use that block, create it where the files of both can be compared, or create other days"
    )


def _require_same_terms(block: PrivateDataBlock, record: RetiredData) -> None:
    """Check that a new block has the budget and the unit that its data had.

    The cost of one unit cannot be told from that of another, nor that in Renyi from that in epsilon-delta: they may
    change only as long as nothing was committed.
    """
    is_unused = _is_unused(record)
    if not (is_unused and _is_equivalent(record.initial_budget, block.spec.initial_budget)):
        require_same_budget(block, record.initial_budget)
    unit, unit_before = DeclaredData.of(block).unit, None if record.declared is None else record.declared.unit
    if None not in (unit, unit_before) and unit != unit_before and not is_unused:
        raise errors.InvalidBudget(
            f"block {block.id}: its unit is {unit}, but budget was committed on its data per {unit_before}; "
            f"create it with the unit {unit_before}"
        )


def _is_unused(record: RetiredData) -> bool:
    """Return whether nothing was committed on deleted data."""
    return not earlier_data.exceeds(record.total, record.initial_budget * 0.0)


def _is_equivalent(before: PrivacyBudget, now: PrivacyBudget) -> bool:
    """Return whether one budget is the Renyi form of the other."""
    match before, now:
        case (EpsilonDelta() as whole, RenyiCurve() as curve) | (RenyiCurve() as curve, EpsilonDelta() as whole):
            forms = (renyi_conversion.to_renyi(whole, curve.orders), renyi_filter.capacity(whole, curve.orders))
            return any(arithmetic.is_close(form, curve) for form in forms)
    return False


def require_same_budget(block: PrivateDataBlock, before: PrivacyBudget) -> None:
    """Check that a block has the initial budget that its data had before.

    Raises:
        InvalidBudget: it has another one.
    """
    if not arithmetic.is_close(before, block.spec.initial_budget):
        known, asked = budget_text.differing_lifetimes(before, block.spec.initial_budget)
        raise errors.InvalidBudget(
            f"block {block.id}: its data has the budget {known}, asked {asked}; "
            "a budget is for the data's whole lifetime: create it with the same"
        )
