"""Settle claims that their run did not settle, as the run's exit task would have done.

Budget of data that was never opened is released; budget of opened data is consumed, since it cannot be proved that
nothing was revealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from privatekube.engine import allocate_requests, consume_release, sums
from privatekube.engine.draft import Draft
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import refusals, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, OverdueSettlement, PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.scheduling.policy import Policy


def settle_overdue(draft: Draft, policy: Policy) -> None:
    """Settle each claim whose time to settle has passed and whose requests are answered.

    A request that still waits is withdrawn first. All claims are locked before the first is answered, as for grants, so
    that few writes wait for others. A claim is settled once, for all that it holds, and is granted
    nothing afterwards. The settlement answers no request: it does not depend on what the claim asked, or how often.

    A claim that depends on a block which is set aside has its request withdrawn, too, although it never waited: without
    that, asking for such a block would be a way to hold other budget for ever.
    """
    settled: list[PrivacyBudgetClaim] = []
    for claim in _overdue_claims(draft, policy):
        with draft.isolated_claim(claim.id):
            _withdraw(draft, claim)
    for claim in _overdue_claims(draft, policy):
        with draft.isolated_claim(claim.id):
            settled += _settle(draft, claim)
    for claim in settled:
        draft.write_status(claim, claim.status)
    for claim in settled:
        draft.complete_locks(claim, claim.settlement_id)


def _overdue_claims(draft: Draft, policy: Policy) -> list[PrivacyBudgetClaim]:
    claims = [*draft.open_claims.values(), *draft.obstructed_claims.values()]
    return [claim for claim in claims if claim.is_overdue(policy.settle_within_ms, now_ms=draft.now_ms)]


def held_on_known_blocks(
    claim: PrivacyBudgetClaim, block_of: Callable[[str], PrivateDataBlock | None]
) -> dict[str, PrivacyBudget]:
    """Return what a claim holds on blocks that record it; on a deleted block it counts as committed already.

    Args:
        claim: the claim.
        block_of: returns the block with an id; None if it does not exist.
    """
    acquired = claim.status.acquired.items()
    return {block_id: amount for block_id, amount in acquired if _has_record_of(block_of(block_id), claim.id)}


def holds_on_known_blocks(claim: PrivacyBudgetClaim, block_of: Callable[[str], PrivateDataBlock | None]) -> bool:
    """Return whether `held_on_known_blocks` returns anything, without reading more blocks than that takes."""
    return any(_has_record_of(block_of(block_id), claim.id) for block_id in claim.status.acquired)


def _has_record_of(block: PrivateDataBlock | None, claim_id: str) -> bool:
    """Return whether a block records that the claim holds budget there, even if only in an unfinished lock."""
    if block is None or block.status is None:
        return False
    locks = transitions.unfinished_locks(block)
    return claim_id in block.status.acquired or any(request_id.claim == claim_id for request_id in locks)


def _withdraw(draft: Draft, claim: PrivacyBudgetClaim) -> None:
    """Fail the allocate request that a claim waits for, or that nothing can be decided about."""
    current = claim.current_request
    if current is None or not isinstance(current[1].action, AllocateRequest):
        return
    if claim.id in draft.obstructed_claims or claim.response_at(current[0]) is not None:
        allocate_requests.fail(draft, claim, current[0], refusals.OVERDUE)


def _settle(draft: Draft, claim: PrivacyBudgetClaim) -> list[PrivacyBudgetClaim]:
    """Lock what a claim holds, to be settled; return it with the settlement, which is not added yet."""
    if claim.is_waiting or not claim.holds_budget or claim.id in draft.obstructed_claims:
        return []
    known = {block_id: consume_release.held_amount(draft, claim, block_id) for block_id in claim.status.acquired}
    held = {block_id: amount for block_id, amount in known.items() if amount is not None}
    begin = transitions.begin_commit if claim.spec.data_opened else transitions.begin_release
    for block_id, amount in held.items():
        draft.stage_block(begin(draft.blocks[block_id], claim.settlement_id, amount, owner=claim.meta.uid))
    return [draft.with_status(claim, _settled(claim, held, draft.now_ms))]


def _settled(claim: PrivacyBudgetClaim, held: Mapping[str, PrivacyBudget], now_ms: int) -> ClaimStatus:
    """Return the status of a claim that is settled; what it held on a deleted block counts as committed already."""
    status, is_consumed = claim.status, claim.spec.data_opened
    elsewhere = {block_id: amount for block_id, amount in status.acquired.items() if block_id not in held}
    committed = sums.plus(status.committed, {**elsewhere, **held} if is_consumed else elsewhere)
    settlement = OverdueSettlement(now_ms, is_consumed, held)
    return replace(status, acquired={}, committed=committed, settlement=settlement)
