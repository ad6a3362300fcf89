"""The order in which the policy considers the requests that wait, if there were room for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.engine import quotas as weights
from privatekube.privacy import arithmetic
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import AllocateResponse
from privatekube.scheduling import cycle
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import BlockView, Snapshot, WaitingRequest

_ROOM = 1e6
"""How many times its budget each block is given, so that every request fits and the order alone decides."""


def positions(
    claims: Sequence[PrivacyBudgetClaim],
    blocks: Mapping[str, PrivateDataBlock],
    policy: Policy,
    quotas: Sequence[PrivacyBudgetQuota] = (),
) -> dict[str, int]:
    """Return the position of each claim that waits, from 1, by its id.

    A request that is ahead is not always granted first: one that does not fit now lets others pass.

    Args:
        claims: all claims, in order of creation.
        blocks: by id.
        policy: of the store.
        quotas: of the store, which have the weights of teams.
    """
    waiting = [request for claim in claims if (request := _waiting(claim, blocks, quotas)) is not None]
    views = {name: _roomy(blocks[name]) for name in {name for request in waiting for name in request.demand}}
    in_order = tuple(sorted(waiting, key=lambda request: request.arrival_ms))
    grants = cycle.decide(Snapshot(views, in_order), policy)
    return {grant.request_id.claim: place for place, grant in enumerate(grants, start=1)}


def _waiting(
    claim: PrivacyBudgetClaim, blocks: Mapping[str, PrivateDataBlock], quotas: Sequence[PrivacyBudgetQuota]
) -> WaitingRequest | None:
    """Return the request that a claim waits for, as the scheduler sees it; None if there is none that it could see."""
    current = claim.current_request
    if current is None or not isinstance(current[1].action, AllocateRequest):
        return None
    index, action = current[0], current[1].action
    demand = {name: amount for name, amount in claim.status.reserved.items() if name in blocks}
    try:
        for name, amount in demand.items():
            arithmetic.at_orders_of(amount, blocks[name].spec.initial_budget)
    except errors.InvalidBudget:  # of a block that was created again with another accounting
        return None
    response = claim.response_at(index)
    detail = None if response is None else response.detail
    arrival_ms = detail.start_time_ms if isinstance(detail, AllocateResponse) else None
    priority = claim.spec.priority or 0
    weight, request_id = weights.weight(claim, action.dataset, quotas), RequestId(claim.id, index)
    waiting = WaitingRequest(request_id, demand, action.max_blocks, arrival_ms or 0, priority, weight)
    return replace(waiting, deadline_ms=claim.spec.deadline_ms)


def _roomy(block: PrivateDataBlock) -> BlockView:
    whole = block.spec.initial_budget
    return BlockView(block.id, whole, whole * _ROOM)
