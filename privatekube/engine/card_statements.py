"""Sign what the control plane knows about a claim whose run publishes a privacy card; see `resources.statement`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.engine import ledger_entries
from privatekube.engine.changes import Unsigned
from privatekube.engine.draft import Draft
from privatekube.engine.world import Signing
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger, signature
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.statement import ChargedBlock, SignedStatement, StatedRelease, Statement
from privatekube.resources.wire import claims, common

_STATED_BUDGETS, _LONGEST_NUMBER = 3, 24
"""Of each block a statement has this many budgets: what is committed, and two others whose numbers may be so long."""
_STATED_BLOCK_BYTES = 360
"""What it has of a block besides."""
_MOST_BYTES_WITH_STATEMENT = 1_500_000
"""Of a claim, where etcd takes 1,572,864; card, signature and metadata are in the rest."""


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
            try:
                require_room(claim)
            except errors.TooLarge as error:
                draft.note(Unsigned(claim.id, error))
            else:
                _sign(draft, claim, signing)


def require_room(claim: PrivacyBudgetClaim) -> None:
    """Check that a claim can be written with a statement about it, by a bound that the claim alone decides.

    So a user who asks for the statement is told at once, and no pass tries in vain.

    Raises:
        TooLarge: it cannot.
    """
    document = claims.to_wire(replace(claim, status=replace(claim.status, statement=None)))
    size = _n_bytes(document["spec"]) + _n_bytes(document["status"]) + len(json.dumps(_text(claim, (), now_ms=0)))
    for block_id, amount in claim.status.committed.items():
        size += _STATED_BLOCK_BYTES + len(block_id) + _STATED_BUDGETS * _stated_bytes(amount)
    if size > _MOST_BYTES_WITH_STATEMENT:
        raise errors.TooLarge(
            f"claim {claim.id}: a statement on {len(claim.status.committed)} blocks would make it {size:,} bytes, more "
            f"than {_MOST_BYTES_WITH_STATEMENT:,}; its card stays unsigned: claim fewer blocks at once to have one"
        )


def _n_bytes(document: object) -> int:
    return len(json.dumps(document, separators=(",", ":")))


def _stated_bytes(amount: PrivacyBudget) -> int:
    """Return the most bytes that a budget of these orders takes in a text that is itself a string of JSON."""
    spare = sum(_LONGEST_NUMBER - len(repr(value)) for value in amount.values)
    return len(json.dumps(json.dumps(common.budget_to_wire(amount), separators=(",", ":")))) + spare


def _sign(draft: Draft, claim: PrivacyBudgetClaim, signing: Signing) -> None:
    """Add the signed statement to the claim's status, once the ledger has all that the claim committed."""
    known = signing.entries.get(claim.id, ())
    entries = _entries_by_block([entry for entry in known if ledger_entries.is_of(entry, claim)])
    if claim.spec.card is None or not claim.status.committed.keys() <= entries.keys():
        return
    text = _text(claim, _charged(draft, claim, entries), now_ms=draft.now_ms)
    signed = SignedStatement(claim.spec.card, text, signature.sign(signing.private_key, text))
    draft.write_status(claim, replace(claim.status, statement=signed))


def _text(claim: PrivacyBudgetClaim, charged: Sequence[ChargedBlock], *, now_ms: int) -> str:
    releases = tuple(StatedRelease(item.step, item.outputs, item.event) for item in claim.releases.values())
    who = claim.requester
    return Statement(
        claim.id, claim.spec.card or "", now_ms, tuple(charged), releases, who.user, who.team, who.purpose
    ).to_text()


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
