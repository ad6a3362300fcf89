"""What becomes of claims in a restore: one that is only in the backup comes back closed; nothing is granted on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from privatekube.backup import new_data
from privatekube.backup.contents import Contents
from privatekube.engine import earlier_data, sums
from privatekube.resources import conditions, meta, refusals
from privatekube.resources.claim import OverdueSettlement, PrivacyBudgetClaim
from privatekube.resources.responses import Response, ResponseState


def missing(backup: Contents, live: Mapping[str, PrivacyBudgetClaim]) -> Iterator[PrivacyBudgetClaim]:
    """Yield, closed, the claims of a backup that are not, or not completely, among those of the store, `live`."""
    for claim in backup.claims:
        stored = live.get(claim.id)
        if stored is None or is_partly_restored(stored, claim):
            restored = closed(claim, now_ms=backup.created_ms)
            annotations = {**restored.meta.annotations, meta.RESTORED_FROM: claim.meta.uid}
            yield replace(restored, meta=replace(new_data.new_meta(restored.meta), annotations=annotations))


def settled(backup: Contents, live: Mapping[str, PrivacyBudgetClaim]) -> Iterator[PrivacyBudgetClaim]:
    """Yield the claims of the store that the backup has consumed, or answered, with the status that says so."""
    for claim in backup.claims:
        stored = live.get(claim.id)
        if stored is None or stored.meta.uid != claim.meta.uid:
            continue
        following = _as_in_backup(stored, claim, now_ms=backup.created_ms)
        if following is not stored:
            yield following


def _as_in_backup(stored: PrivacyBudgetClaim, claim: PrivacyBudgetClaim, *, now_ms: int) -> PrivacyBudgetClaim:
    """Return a claim of the store with all consumed that it consumed in the backup.

    What it holds besides it goes on to hold. Where it still waits for what the backup has answered, it waits no more.
    """
    if is_further(claim, stored) and stored.is_waiting:
        waiting = replace(stored.status, responses=_final_responses(stored), reserved={})
        return conditions.update_claim(
            consumed_as(replace(stored, status=waiting), claim, now_ms=now_ms), now_ms=now_ms
        )
    return consumed_as(stored, claim, now_ms=now_ms)


def closed(claim: PrivacyBudgetClaim, *, now_ms: int) -> PrivacyBudgetClaim:
    """Return a claim of a backup as it is restored: what it held is consumed, what it asked for is withdrawn.

    It has no sealing key any more: keys belong to the claim that got them, and a restored claim is another object.
    """
    status, spec = claim.status, claim.spec
    settled = OverdueSettlement(now_ms, is_consumed=True, budgets=status.acquired) if status.acquired else None
    final = replace(
        status,
        acquired={},
        reserved={},
        committed=sums.plus(status.committed, status.acquired),
        responses=_final_responses(claim),
        settlement=status.settlement or settled,
        sealing=None,
    )
    is_signed = status.statement is not None and status.statement.card == spec.card
    spec = replace(spec, opens_releases=False, card=spec.card if is_signed else None)
    return conditions.update_claim(replace(claim, spec=spec, status=final), now_ms=now_ms)


def is_further(claim: PrivacyBudgetClaim, stored: PrivacyBudgetClaim) -> bool:
    """Return whether the claim of a backup has more answers than the same claim in the store: the store is older."""
    return _progress(claim) > _progress(stored)


def is_partly_restored(stored: PrivacyBudgetClaim, claim: PrivacyBudgetClaim) -> bool:
    """Return whether a restore that died has created the claim, and not written all of it."""
    is_of_it = stored.meta.annotations.get(meta.RESTORED_FROM) == claim.meta.uid
    return is_of_it and len(stored.spec.requests) < len(claim.spec.requests)


def consumed_as(stored: PrivacyBudgetClaim, claim: PrivacyBudgetClaim, *, now_ms: int) -> PrivacyBudgetClaim:
    """Return the claim of the store with all consumed that the same claim has consumed in the backup."""
    status = stored.status
    more = {
        block_id: amount
        for block_id, amount in claim.status.committed.items()
        if block_id not in status.committed or earlier_data.exceeds(amount, status.committed[block_id])
    }
    if not more:
        return stored
    taken = {block_id: status.acquired[block_id] for block_id in more if block_id in status.acquired}
    settlement = OverdueSettlement(now_ms, is_consumed=True, budgets=taken) if taken else None
    final = replace(
        status,
        acquired=sums.minus(status.acquired, taken),
        committed={**status.committed, **more},
        settlement=status.settlement or settlement,
    )
    return conditions.update_claim(replace(stored, status=final), now_ms=now_ms)


def _final_responses(claim: PrivacyBudgetClaim) -> tuple[Response, ...]:
    """Return the answers of a claim, with a failure in place of each that it waits for."""
    answered = [response for response in claim.status.responses if response.state is not ResponseState.PENDING]
    withdrawn = [
        Response(request.identifier, ResponseState.FAILURE, refusals.WITHDRAWN, None)
        for request in claim.spec.requests[len(answered) :]
    ]
    return (*answered, *withdrawn)


def _progress(claim: PrivacyBudgetClaim) -> tuple[int, bool]:
    final = sum(response.state is not ResponseState.PENDING for response in claim.status.responses)
    return final, claim.status.settlement is not None
