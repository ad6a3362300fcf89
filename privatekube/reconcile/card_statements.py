"""Sign what the control plane knows about a claim whose run publishes a privacy card; see `resources.statement`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace

from privatekube.reconcile.pass_state import PassState
from privatekube.resources import ledger, signature
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.statement import ChargedBlock, SignedStatement, StatedRelease, Statement
from privatekube.resources.wire import common
from privatekube.store.base import ResourceStore

PRIVATE_KEY = "card-key"
"""The secret that holds the private key; in a cluster only the controller can read it."""
PUBLIC_KEY = "card_public_key"
"""The setting that tells everybody the public key."""


def sign_requested(state: PassState) -> None:
    """Sign a statement for each claim that asks for one and committed its budget in an earlier pass."""
    for claim in list(state.open_claims.values()):
        if claim.awaits_statement:
            _sign(state, claim)


def _sign(state: PassState, claim: PrivacyBudgetClaim) -> None:
    """Write the signed statement into the claim's status, once the ledger has all that the claim committed."""
    entries = {entry.block: entry for entry in state.store.ledger(claim_id=claim.id) if _is_commit(entry)}
    if claim.spec.card is None or not claim.status.committed.keys() <= entries.keys():
        return
    releases = tuple(StatedRelease(item.step, item.outputs, item.event) for item in claim.releases.values())
    charged = _charged(state, claim, entries)
    text = Statement(claim.id, claim.spec.card, state.now_ms, charged, releases).to_text()
    signed = SignedStatement(claim.spec.card, text, signature.sign(_private_key(state.store), text))
    state.write_claim(replace(claim, status=replace(claim.status, statement=signed)))


def _is_commit(entry: Entry) -> bool:
    return entry.reason == ledger.CONSUMED


def _charged(state: PassState, claim: PrivacyBudgetClaim, entries: Mapping[str, Entry]) -> tuple[ChargedBlock, ...]:
    charged = []
    for block_id, amount in sorted(claim.status.committed.items()):
        block, entry = state.blocks.get(block_id), entries[block_id]
        status = None if block is None else block.status
        lifetime = None if block is None else common.budget_to_wire(block.spec.initial_budget)
        left = None if status is None else common.budget_to_wire(status.pending + status.available)
        committed = common.budget_to_wire(amount)
        charged.append(ChargedBlock(block_id, committed, entry.sequence, entry.digest, lifetime, left))
    return tuple(charged)


def _private_key(store: ResourceStore) -> bytes:
    """Return the private key of the store, made when it is first needed; the public key is published with it."""
    seed = store.ensure_secret(PRIVATE_KEY, secrets.token_bytes(signature.SEED_BYTES))
    key = signature.public_key(seed)
    if store.settings().get(PUBLIC_KEY) != key:
        store.set_setting(PUBLIC_KEY, key)
    return seed
