"""Write a backup into a store, so that a process that dies in between leaves less budget, and can be repeated."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from privatekube import errors
from privatekube.backup import contents, merge
from privatekube.backup.contents import Contents
from privatekube.backup.merge import Merge
from privatekube.engine import run_pass
from privatekube.engine.world import World
from privatekube.reconcile import apply, read_world
from privatekube.resources import ledger, meta
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.store.base import ResourceStore


def restore(store: ResourceStore, backup: Contents, *, now_ms: int) -> Merge:
    """Merge a backup into a store, and return what that changed.

    Budget never rises. What is spent is written first: blocks, records, ledger; then what comes back.

    Args:
        store: what to restore into; it may be empty, older or newer.
        backup: what to restore.
        now_ms: the time, in unix milliseconds.

    Raises:
        AlreadyExists: see `merge.merge`; nothing was written.
        InvalidBudget: see `merge.merge`; nothing was written.
        CorruptData: something in the store cannot be read, or see `merge.merge`; nothing was written.
        Conflict: another process wrote to the store meanwhile; restore again.
    """
    with store.transaction():
        changes = merge.merge(backup, contents.read(store, now_ms=now_ms))
        for block in changes.charged:
            store.update_status(block)
        for record in changes.retired:
            store.retire(record)
        for entry in changes.entries:
            store.append(entry)
        for identity in changes.identities:
            store.keep_identity(identity)
        for quota in changes.quotas:
            store.put_quota(quota)
        for approval in changes.approvals:
            _keep(store, approval)
        for block in changes.blocks:
            store.create(block)
        _admit(store, now_ms)
        for claim in changes.claims:
            _restore_claim(store, claim)
        for claim in changes.settled:
            store.update_status(claim)
        return changes


def _keep(store: ResourceStore, approval: PrivacyBudgetApproval) -> None:
    """Keep what somebody decided; an API server takes it from them alone, and the ledger says who approved a charge."""
    with contextlib.suppress(errors.InvalidInput):
        store.add_approval(approval)


def _admit(store: ResourceStore, now_ms: int) -> None:
    """Give the blocks that have no status one, by the ledger; what restored claims held is in it already."""
    blocks = {block.id: block for block in store.list_blocks()}
    claims = [claim for claim in store.list_claims() if meta.RESTORED_FROM not in claim.meta.annotations]
    records = replace(
        read_world.earlier_records(store, blocks.values()), entries=tuple(ledger.amounts(store.ledger())), claims=claims
    )
    world = World(now_ms, blocks, {}, records=records)
    apply.apply(store, world, run_pass.admit(world))


def _restore_claim(store: ResourceStore, claim: PrivacyBudgetClaim) -> None:
    """Create a claim, or complete one: its answers are written before its requests, so that none is granted."""
    stored = store.get_claim(claim.id)
    if stored is None:
        stored = store.create(replace(claim, spec=replace(claim.spec, requests=()), status=ClaimStatus()))
    answered = store.update_status(replace(stored, status=claim.status))
    store.update(replace(answered, spec=replace(answered.spec, requests=claim.spec.requests)))
