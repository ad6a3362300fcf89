"""Claims whose run never came back: settled by the control plane, as the run's exit task would have done.

Budget whose data was never opened is released, opened budget is consumed, because nobody can prove that nothing leaked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import allocate_requests
from privatekube.reconcile.pass_state import State
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import ALL_OR_NOTHING, AllocateRequest, ConsumeRequest, ReleaseRequest, Request

IDENTIFIER = "settle-after"
OVERDUE = "settled: its time to settle is over"


def settle_overdue(state: State) -> None:
    """Append to each claim whose time to settle is over the request that its exit task would have made.

    What it waits for is withdrawn first. A claim has one such request for all that it holds; where it could not be
    met, it is not made again.
    """
    for claim in list(state.open_claims.values()):
        if claim.spec.settle_after is not None and state.now_ms >= claim.spec.settle_after.at_ms:
            _settle(state, claim)


def held_on_known_blocks(
    claim: PrivacyBudgetClaim, block_of: Callable[[str], PrivateDataBlock | None]
) -> dict[str, PrivacyBudget]:
    """What a claim holds on blocks that know of it; on a deleted block it counts as committed already."""
    return {key: each for key, each in claim.status.acquired.items() if _knows(block_of(key), claim.id)}


def _knows(block: PrivateDataBlock | None, claim_id: str) -> bool:
    """Whether a block says that the claim holds budget there, in a lock that is left to be completed at least."""
    if block is None or block.status is None:
        return False
    return claim_id in block.status.acquired or any(
        request.rpartition("/")[0] == claim_id for request in transitions.unfinished_locks(block)
    )


def _settle(state: State, claim: PrivacyBudgetClaim) -> None:
    now = claim.current_request
    if now is not None and isinstance(now[1].action, AllocateRequest) and claim.response_at(now[0]):
        claim = allocate_requests.fail(state, claim, now[0], OVERDUE)
    held = held_on_known_blocks(claim, state.blocks.get)
    asked = claim.spec.requests
    if claim.current_request is not None or not held or asked[-1].identifier == IDENTIFIER:
        return
    action = (
        ConsumeRequest(held, f"{ALL_OR_NOTHING}=true", (OVERDUE,)) if claim.spec.data_opened else ReleaseRequest(held)
    )
    spec = replace(claim.spec, requests=(*asked, Request(IDENTIFIER, action)))
    state.respecify(replace(claim, spec=spec))
