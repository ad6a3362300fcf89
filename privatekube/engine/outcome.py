"""The world after the changes of a pass: what would be stored, without a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from privatekube.engine.changes import (
    Answer,
    Barrier,
    BlockChange,
    Change,
    Deletion,
    LedgerEntry,
    Postponed,
    Retirement,
    SetAside,
    Unsigned,
)
from privatekube.engine.world import Records, World
from privatekube.resources import ledger
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry


def after(world: World, changes: Iterable[Change]) -> World:
    """Return the world in which all `changes` are stored, at the same time.

    Args:
        world: what they were decided on.
        changes: what a pass decided.

    Example:
        later = replace(outcome.after(world, run_pass(world, policy)), now_ms=world.now_ms + 1000)
    """
    blocks, claims = dict(world.blocks), {**world.closed_claims, **world.open_claims}
    entries = {entry.identity: entry for entry in world.records.entries}
    retired = {(record.dataset, record.digest): record for record in world.records.retired}
    changed = list(changes)
    for change in changed:
        match change:
            case BlockChange(block):
                blocks[block.id] = block
            case Answer(claim):
                claims[claim.id] = claim
            case LedgerEntry(Entry() as entry):
                entries.setdefault(entry.identity, entry)
            case Retirement(record):
                retired[record.dataset, record.digest] = record
            case Deletion(block):
                del blocks[block.id]
            case LedgerEntry() | Barrier() | SetAside() | Unsigned() | Postponed():
                pass
    records = replace(world.records, entries=tuple(entries.values()), retired=tuple(retired.values()))
    charges = world.charges
    if world.quotas:
        charges = (*charges, *ledger.amounts(change.entry for change in changed if isinstance(change, LedgerEntry)))
    later = replace(with_claims(world, claims), blocks=blocks, records=_with_claims(records, claims))
    return replace(later, charges=charges)


def with_claims(world: World, claims: Mapping[str, PrivacyBudgetClaim]) -> World:
    """Return the world with these claims instead of those it has, by id, in order of creation."""
    open_claims = {claim_id: claim for claim_id, claim in claims.items() if claim.is_open}
    closed_claims = {claim_id: claim for claim_id, claim in claims.items() if not claim.is_open}
    return replace(world, open_claims=open_claims, closed_claims=closed_claims)


def _with_claims(records: Records, claims: Mapping[str, PrivacyBudgetClaim]) -> Records:
    return replace(records, claims=tuple(claims.get(claim.id, claim) for claim in records.claims))
