"""Read from a store what a pass depends on."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.engine import admission
from privatekube.engine.admission import Admissible
from privatekube.engine.world import Records, Signing, World
from privatekube.resources import ledger, sealing_key, signature
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.ledger import Entry, Readable
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.store.base import RecordSource, ResourceStore

PRIVATE_KEY = "card-key"
"""The secret that holds the private key; in a cluster only the controller can read it."""
PUBLIC_KEY = "card_public_key"
"""The setting that tells everybody the public key."""
SEALING_KEY = "sealing-key"
"""The secret from which the keys of claims are derived; in a cluster only the controller can read it."""
_log = logging.getLogger(__name__)


def read(store: ResourceStore, now_ms: int, *, set_aside: Collection[errors.ResourceName] = ()) -> World:
    """Read the claims that have an unanswered request, then all blocks, then what the pass needs to know beside them.

    In this order, a block that the store makes readable again in between comes without the claims that waited for
    it, which is safe; in the other order the claims would come without the block.

    Args:
        store: the store.
        now_ms: the time in unix milliseconds.
        set_aside: objects that the pass leaves as they are.
    """
    obstructed = {claim.id: claim for claim in store.obstructed_claims()}
    claims = {claim.id: claim for claim in store.list_claims(open_only=True) if claim.id not in obstructed}
    blocks = {block.id: block for block in store.usable_blocks()}
    closed, unreadable = _named_claims(store, blocks.values(), {**claims, **obstructed})
    records = _records(store, blocks.values())
    if records is None:
        blocks = {key: block for key, block in blocks.items() if block.status is not None}
    quotas, charges = _quotas(store, claims.values())
    return World(
        now_ms,
        blocks,
        claims,
        closed,
        obstructed,
        unreadable,
        records=records or Records(),
        signing=_signing(store, claims.values()),
        sealing_secret=_sealing_secret(store, claims.values()),
        quotas=quotas,
        charges=charges,
        approvals=store.list_approvals() if any(quota.is_threshold for quota in quotas) else (),
    ).without(set_aside)


def _quotas(
    store: ResourceStore, claims: Iterable[PrivacyBudgetClaim]
) -> tuple[Sequence[PrivacyBudgetQuota], Sequence[Entry]]:
    """Return the quotas with the ledger that they are counted by; nothing if no claim waits for budget."""
    quotas = store.list_quotas() if any(claim.open_allocate_requests for claim in claims) else []
    if not quotas:
        return (), ()
    return counted(quotas, store.readable_ledger())


def counted(
    quotas: Iterable[PrivacyBudgetQuota], entries: Readable
) -> tuple[Sequence[PrivacyBudgetQuota], Sequence[Entry]]:
    """Return quotas with the entries that count; where an entry cannot be read, quotas that allow nothing."""
    if not entries.unreadable:
        return tuple(quotas), tuple(ledger.amounts(entries.entries))
    fault = f"cannot be counted ({entries.unreadable[0].error})"
    return tuple(replace(item, spec=replace(item.spec, share=0.0, epsilon=None), fault=fault) for item in quotas), ()


def earlier_records(source: RecordSource, blocks: Iterable[PrivateDataBlock]) -> Records:
    """Return the records of deleted data, and the identities of the data of these records and of `blocks`."""
    retired = source.list_retired()
    declared = [*map(DeclaredData.of, blocks), *(record.declared for record in retired)]
    ids = dict.fromkeys(item.identity_id for item in declared if item is not None and item.identity_id is not None)
    identities = {identity_id: _identity(source, identity_id) for identity_id in ids}
    return Records(retired, {key: identity for key, identity in identities.items() if identity is not None})


def _records(store: ResourceStore, blocks: Iterable[PrivateDataBlock]) -> Records | None:
    """Return what admitting new blocks needs; None if it cannot be read, so that no new block can be admitted."""
    blocks = list(blocks)
    if not admission.new_blocks(blocks):
        return Records()
    try:
        return _records_for_new(store, blocks)
    except errors.CorruptData as error:  # it must not stop what is decided about admitted blocks
        _log.error("no new block is admitted: %s", error)
        return None


def _records_for_new(store: ResourceStore, blocks: Collection[PrivateDataBlock]) -> Records:
    """Return recent records if they refuse every new block; else all that is recorded, with ledger and all claims."""
    source = store.recent_records()
    recent = earlier_records(source, blocks)
    decisions = admission.decide_admission(blocks, recent)
    if not any(isinstance(item, Admissible) or item.block.meta.is_deleted for item in decisions):
        return recent
    records = recent if source is store else earlier_records(store, blocks)
    return replace(records, entries=tuple(ledger.amounts(store.ledger())), claims=store.list_claims())


def _identity(source: RecordSource, identity_id: str) -> DataIdentity | None:
    try:
        return source.identity(identity_id)
    except errors.CorruptData:  # one unreadable identity must not stop the pass; the data cannot be compared
        return None


def _named_claims(
    store: ResourceStore, blocks: Iterable[PrivateDataBlock], known: Mapping[str, PrivacyBudgetClaim]
) -> tuple[dict[str, PrivacyBudgetClaim], frozenset[str]]:
    """Return the claims beside the known ones that a lock or a reservation names, and the ids of unreadable ones."""
    statuses = [block.status for block in blocks if block.status is not None]
    named = (name for status in statuses for name in (*(lock.claim for lock in status.locks), *status.reserved))
    claims: dict[str, PrivacyBudgetClaim] = {}
    unreadable: set[str] = set()
    for claim_id in dict.fromkeys(name for name in named if name not in known):
        try:
            claim = store.get_claim(claim_id)
        except errors.NotServed:  # says nothing about the claim
            raise
        except errors.InvalidInput:
            unreadable.add(claim_id)
        else:
            claims |= {} if claim is None else {claim_id: claim}
    return claims, frozenset(unreadable)


def _signing(store: ResourceStore, claims: Iterable[PrivacyBudgetClaim]) -> Signing | None:
    """Return what is needed to sign the statements that claims await; None if none does."""
    awaiting = [claim.id for claim in claims if claim.awaits_statement]
    if not awaiting:
        return None
    readable = store.readable_ledger()  # once, however many claims there are: an API server has to list all of it
    refused = {name: item.error for item in readable.unreadable for name in awaiting if item.may_be_of(name)}
    entries: dict[str, list[Entry]] = {claim_id: [] for claim_id in awaiting if claim_id not in refused}
    for entry in ledger.amounts(readable.entries):
        if entry.claim in entries:
            entries[entry.claim].append(entry)
    return Signing(_private_key(store), entries, refused)


def _sealing_secret(store: ResourceStore, claims: Iterable[PrivacyBudgetClaim]) -> bytes | None:
    """Return the secret of the keys of claims, made when it is first needed; None if no claim needs a key now."""
    if not any(claim.open_allocate_requests or claim.awaits_key for claim in claims):
        return None
    return store.ensure_secret(SEALING_KEY, secrets.token_bytes(sealing_key.SECRET_BYTES))


def _private_key(store: ResourceStore) -> bytes:
    """Return the private key of the store, made when it is first needed; the public key is published with it."""
    seed = store.ensure_secret(PRIVATE_KEY, secrets.token_bytes(signature.SEED_BYTES))
    key = signature.public_key(seed)
    if store.settings().get(PUBLIC_KEY) != key:
        store.set_setting(PUBLIC_KEY, key)
    return seed
