"""Sign what the control plane knows about a claim whose run publishes a privacy card; see `resources.statement`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from privatekube.engine import ledger_entries
from privatekube.engine.changes import Unsigned
from privatekube.engine.draft import Draft
from privatekube.engine.world import Signing
from privatekube.resources import ledger, signature
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.statement import ChargedBlock, SignedStatement, StatedRelease, Statement
from privatekube.resources.wire import common


def sign_requested(draft: Draft) -> None:
    """Sign a statement for each claim that asks for one, committed its budget in an earlier pass, and may have one."""
    signing = draft.world.signing
    for claim in list(draft.open_claims.values()):
        if signing is None or not claim.awaits_statement:
            continue
        if claim.id in signing.refused:
            draft.note(Unsigned(claim.id, signing.refused[claim.id]))
            continue
        with draft.isolated_claim(claim.id):
            _sign(draft, claim, signing)


def _sign(draft: Draft, claim: PrivacyBudgetClaim, signing: Signing) -> None:
    """Add the signed statement to the claim's status, once the ledger has all that the claim committed."""
    known = signing.entries.get(claim.id, ())
    entries = _entries_by_block([entry for entry in known if ledger_entries.is_of(entry, claim)])
    if claim.spec.card is None or not claim.status.committed.keys() <= entries.keys():
        return
    releases = tuple(StatedRelease(item.step, item.outputs, item.event) for item in claim.releases.values())
    charged = _charged(draft, claim, entries)
    who = claim.requester
    stated = (charged, releases, who.user, who.team, who.purpose)
    text = Statement(claim.id, claim.spec.card, draft.now_ms, *stated).to_text()
    signed = SignedStatement(claim.spec.card, text, signature.sign(signing.private_key, text))
    draft.write_status(claim, replace(claim.status, statement=signed))


def _entries_by_block(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return the last entry on each block of what a claim consumed; else of what it held when the block was deleted."""
    reasons = (ledger.UNSETTLED, ledger.CONSUMED)
    return {entry.block: entry for reason in reasons for entry in entries if entry.reason == reason}


def _charged(draft: Draft, claim: PrivacyBudgetClaim, entries: Mapping[str, Entry]) -> tuple[ChargedBlock, ...]:
    charged = []
    for block_id, amount in sorted(claim.status.committed.items()):
        block, entry = draft.blocks.get(block_id), entries[block_id]
        status = None if block is None else block.status
        lifetime = None if block is None else common.budget_to_wire(block.spec.initial_budget)
        left = None if status is None else common.budget_to_wire(status.pending + status.available)
        committed = common.budget_to_wire(amount)
        charged.append(ChargedBlock(block_id, committed, entry.sequence, entry.digest, lifetime, left))
    return tuple(charged)
