"""Settle claims that their run did not settle, as the run's exit task would have done.

Budget of data that was never opened is released; budget of opened data is consumed, since it cannot be proved that
nothing was revealed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from privatekube.engine import allocate_requests
from privatekube.engine.draft import Draft
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import refusals, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest, ConsumeRequest, ReleaseRequest, Request
from privatekube.scheduling.policy import Policy

IDENTIFIER = "settle-after"


def settle_overdue(draft: Draft, policy: Policy) -> None:
    """Append the request that its exit task would have made to each claim whose time to settle has passed.

    A request that still waits is withdrawn first. A claim gets one such request for all that it holds; if it is
    refused, it is not made again.
    """
    for claim in list(draft.open_claims.values()):
        settle_at_ms = claim.settle_at_ms(policy.settle_within_ms)
        if settle_at_ms is not None and draft.now_ms >= settle_at_ms:
            _settle(draft, claim)


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


def _has_record_of(block: PrivateDataBlock | None, claim_id: str) -> bool:
    """Return whether a block records that the claim holds budget there, even if only in an unfinished lock."""
    if block is None or block.status is None:
        return False
    locks = transitions.unfinished_locks(block)
    return claim_id in block.status.acquired or any(request_id.claim == claim_id for request_id in locks)


def _settle(draft: Draft, claim: PrivacyBudgetClaim) -> None:
    current = claim.current_request
    if current is not None:
        index, request = current
        if isinstance(request.action, AllocateRequest) and claim.response_at(index) is not None:
            claim = allocate_requests.fail(draft, claim, index, refusals.OVERDUE)
    held = held_on_known_blocks(claim, draft.blocks.get)
    requests = claim.spec.requests
    if claim.is_waiting or not held or requests[-1].identifier == IDENTIFIER:
        return
    action = (
        ConsumeRequest.all_or_nothing(held, (str(refusals.OVERDUE),))
        if claim.spec.data_opened
        else ReleaseRequest(held)
    )
    spec = replace(claim.spec, requests=(*requests, Request(IDENTIFIER, action)))
    draft.update_spec(replace(claim, spec=spec))
