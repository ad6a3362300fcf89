"""Allocate requests: their arrival, their grant, their timeout.

Source: Luo et al., "Privacy Budget Scheduling" (OSDI'21), section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from privatekube import errors
from privatekube.engine import quotas, sealing_keys, status_room, sums, unlocking
from privatekube.engine.draft import Draft
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import matching, refusals, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import AllocateResponse, Allocation, ResponseState
from privatekube.scheduling.policy import LONGEST_TIMEOUT, WAITING_PER_BLOCK, WAITING_PER_NAMESPACE, Policy
from privatekube.scheduling.snapshot import BlockView, GrantDecision, Snapshot, WaitingRequest


def accept(draft: Draft, claim: PrivacyBudgetClaim, index: int, request: AllocateRequest, policy: Policy) -> None:
    """Unlock budget on each candidate block and reserve the demand there, then answer that the request waits.

    A request that is not valid, that too few blocks match, or whose claim is past its deadline or to be settled, fails.
    A block that already has the request's lock has unlocked for it: a repetition changes nothing there. A block that
    has no room for the lock unlocks later, see `unlock_unrecorded`.
    """
    request_id = claim.request_id(index)
    if claim.is_overdue(policy.settle_within_ms, now_ms=draft.now_ms):
        _refuse(draft, claim, index, refusals.OVERDUE)
        return
    missed_ms = claim.spec.missed_deadline_ms(draft.now_ms)
    if missed_ms is not None:
        _refuse(draft, claim, index, refusals.deadline_passed(missed_ms))
        return
    try:
        candidates = draft.candidates(claim, request)
        matching.require_enough(request, len(candidates))
        demands = matching.demand(request, candidates)
        quotas.require_quota(claim, request.dataset, draft.world.quotas)
        status_room.require_claim_fits(claim, demands, needed=matching.needed(request, len(candidates)))
        _require_patience(claim, policy)
        _require_room(draft, claim, candidates, policy)
    except errors.InvalidInput as error:
        _refuse(draft, claim, index, Refusal.of(str(error)))
        return
    for block in candidates:
        unlocks = not _has_arrived(claim) and request_id not in transitions.status_of(block).locks
        unlocked = unlocking.on_arrival(block, policy) if unlocks else block
        if not _reserve(draft, unlocked, claim, request_id, demands[block.id]) and unlocked is not block:
            draft.owe_unlocking(claim.id, block.id)
    detail = AllocateResponse(
        {block_id: Allocation(reserved=demand) for block_id, demand in demands.items()}, start_time_ms=draft.now_ms
    )
    holdings = replace(claim.status, reserved=demands)
    draft.answer(claim, index, ResponseState.PENDING, detail=detail, holdings=holdings)


def _refuse(draft: Draft, claim: PrivacyBudgetClaim, index: int, refusal: Refusal) -> None:
    """Fail a request that is not accepted; if a block has its lock, and so has unlocked for it, it has arrived."""
    if draft.locked_blocks(claim.request_id(index)):
        fail(draft, claim, index, refusal)
    else:
        draft.answer(claim, index, ResponseState.FAILURE, refusal=refusal)


def _require_room(
    draft: Draft, claim: PrivacyBudgetClaim, candidates: Iterable[PrivateDataBlock], policy: Policy
) -> None:
    """Refuse a request where as many wait as the policy lets: each costs every decision time, and statuses room."""
    in_namespace = draft.n_waiting(claim.meta.namespace)
    if in_namespace >= policy.waiting_per_namespace:
        bound = f"requests wait, and {WAITING_PER_NAMESPACE} is {policy.waiting_per_namespace}"
        raise errors.InvalidInput(f"namespace {claim.meta.namespace}: {in_namespace} {bound}; ask again later")
    for block in candidates:
        reserved = transitions.status_of(block).reserved
        if len(reserved) >= policy.waiting_per_block and claim.id not in reserved:
            bound = f"requests wait for it, and {WAITING_PER_BLOCK} is {policy.waiting_per_block}"
            raise errors.InvalidInput(f"block {block.id}: {len(reserved)} {bound}; ask again later")


def _require_patience(claim: PrivacyBudgetClaim, policy: Policy) -> None:
    """Refuse a request of a claim that has waited as long as one may: one after another would keep a place for ever."""
    waited_ms = claim.waited_in_vain_ms
    if waited_ms >= policy.longest_timeout_ms:
        bound = f"waited {waited_ms} ms in vain, and {LONGEST_TIMEOUT} is {policy.longest_timeout_ms}"
        raise errors.InvalidInput(f"claim {claim.id}: its requests have {bound}; ask in another claim")


def _has_arrived(claim: PrivacyBudgetClaim) -> bool:
    """Return whether a request of the claim has been accepted before: a claim unlocks once, however often it asks."""
    return any(isinstance(response.detail, AllocateResponse) for response in claim.status.responses)


def _reserve(
    draft: Draft, block: PrivateDataBlock, claim: PrivacyBudgetClaim, request_id: RequestId, demand: PrivacyBudget
) -> bool:
    """Record a demand on a block, and that the block has unlocked for it; return whether both are recorded.

    Where the block's status has no room, nothing is changed: the claim has the demand, too.
    """
    status = transitions.status_of(block)
    lock = status.locks.get(request_id)
    is_missing = lock is None or (claim.id not in status.reserved and lock.acquired is None)
    most = status_room.MOST_WAITING_BYTES
    if not is_missing:
        return True
    has_room = draft.room.take({block.id: demand}, request_id, draft.blocks, most=most)
    if has_room:
        draft.stage_block(transitions.reserve(block, request_id, demand, owner=claim.meta.uid))
    return has_room


def unlock_unrecorded(draft: Draft, policy: Policy) -> None:
    """Unlock budget for the requests that have arrived on a block without room for their locks.

    Their answers, which show that they have arrived, are written first. So a block unlocks at most once for a request,
    however often that is decided; if the process dies after the answer, it does not unlock for it.
    """
    for block_id, n_arrivals in draft.write_owed_answers().items():
        with draft.isolated_block(block_id):
            block = draft.blocks[block_id]
            for _ in range(n_arrivals):
                block = unlocking.on_arrival(block, policy)
            draft.stage_block(block)


def grant(draft: Draft, grants: Iterable[GrantDecision]) -> bool:
    """Grant waiting requests their demands: acquire on all blocks, answer, complete the locks.

    The answers are worked out together with the locks, so that a fault is found before anything is added. A request
    for whose locks a block's status has no room waits.

    Returns:
        Whether any request was granted.
    """
    granted: list[tuple[RequestId, PrivacyBudgetClaim]] = []
    for decision in grants:
        with draft.isolated_claim(decision.request_id.claim):
            amounts, request_id, most = decision.amounts, decision.request_id, status_room.MOST_BLOCK_BYTES
            if draft.room.take(amounts, request_id, draft.blocks, most=most):
                granted.append((request_id, _acquire(draft, request_id, amounts)))
    for _, claim in granted:
        draft.write_status(claim, claim.status)
    for request_id, claim in granted:
        draft.complete_locks(claim, request_id)
    return bool(granted)


def _acquire(draft: Draft, request_id: RequestId, amounts: Mapping[str, PrivacyBudget]) -> PrivacyBudgetClaim:
    """Acquire budget for a request on all blocks; return the claim with the answer, which is not added yet."""
    claim = draft.open_claims[request_id.claim]
    for block_id, amount in amounts.items():
        acquired = transitions.begin_acquire(draft.blocks[block_id], request_id, amount, owner=claim.meta.uid)
        draft.stage_block(acquired)
    return draft.with_status(claim, _granted_status(draft, claim, request_id.index, amounts))


def finish_grant(draft: Draft, claim: PrivacyBudgetClaim, index: int, amounts: Mapping[str, PrivacyBudget]) -> None:
    """Answer that a request was granted the amounts in its locks, then complete the locks."""
    claim = draft.write_status(claim, _granted_status(draft, claim, index, amounts))
    draft.complete_locks(claim, claim.request_id(index))


def _granted_status(
    draft: Draft, claim: PrivacyBudgetClaim, index: int, amounts: Mapping[str, PrivacyBudget]
) -> ClaimStatus:
    before = claim.response_at(index)
    waited = before.detail if before and isinstance(before.detail, AllocateResponse) else AllocateResponse()
    detail = AllocateResponse(
        {block_id: Allocation(acquired=amount) for block_id, amount in amounts.items()},
        start_time_ms=draft.now_ms if waited.start_time_ms is None else waited.start_time_ms,
        finish_time_ms=draft.now_ms,
        approval=waited.approval,
    )
    acquired, sealing = sums.plus(claim.status.acquired, amounts), sealing_keys.of_grant(draft, claim)
    holdings = replace(claim.status, reserved={}, acquired=acquired, sealing=sealing)
    return claim.answered(index, ResponseState.SUCCESS, detail=detail, holdings=holdings).status


def expire(draft: Draft, policy: Policy) -> None:
    """Fail the waiting requests whose timeout or deadline has passed, and drop their reservations."""
    for claim in [*draft.open_claims.values(), *draft.obstructed_claims.values()]:
        with draft.isolated_claim(claim.id):
            waiting, end_ms = waiting_request(claim), waits_until_ms(claim, policy)
            if waiting is not None and end_ms is not None and draft.now_ms >= end_ms:
                fail(draft, claim, waiting[0], _expiry_refusal(draft, claim, waiting[0], policy))


def waits_until_ms(claim: PrivacyBudgetClaim, policy: Policy) -> int | None:
    """Return when a claim's waiting request fails, in unix milliseconds: at its timeout, or at the claim's deadline.

    None if none waits.
    """
    waiting = waiting_request(claim)
    if waiting is None:
        return None
    _, request, detail = waiting
    end_ms = (detail.start_time_ms or 0) + wait_ms(claim, policy, request.timeout_ms)
    return end_ms if claim.spec.deadline_ms is None else min(end_ms, claim.spec.deadline_ms)


def wait_ms(claim: PrivacyBudgetClaim, policy: Policy, timeout_ms: int | None) -> int:
    """Return how long a request of a claim waits that sets this timeout, in milliseconds; see `Policy.wait_ms`.

    All requests of a claim together wait in vain no longer than one may.
    """
    left_ms = max(0, policy.longest_timeout_ms - claim.waited_in_vain_ms)
    return min(policy.wait_ms(timeout_ms), left_ms)


def fail(draft: Draft, claim: PrivacyBudgetClaim, index: int, refusal: Refusal) -> PrivacyBudgetClaim:
    """Answer a request with failure, then undo its locks; return the claim as answered.

    The answer shows that the request has arrived: its locks, which show that blocks have unlocked for it, go.
    """
    before = claim.response_at(index)
    arrived = AllocateResponse(start_time_ms=draft.now_ms)
    if before is not None and isinstance(before.detail, AllocateResponse):
        arrived = before.detail
    detail = replace(arrived, budgets={}, finish_time_ms=draft.now_ms, awaits_approval=None)
    holdings = replace(claim.status, reserved={})
    answered = draft.answer(claim, index, ResponseState.FAILURE, refusal=refusal, detail=detail, holdings=holdings)
    draft.undo_locks(claim.request_id(index), may_wait=True)  # so the answers of many claims are written at once
    return answered


def fail_unanswerable(draft: Draft) -> None:
    """Fail the allocate request of each claim whose answer the store has refused, and set the claim aside.

    Failure takes less room than a grant, so it may be written although the grant was refused. What is locked for the
    request is given back after that answer, as after any other failure.
    """
    for claim_id, error in draft.world.unanswerable.items():
        with draft.isolated_claim(claim_id):
            claim = draft.open_claims.get(claim_id) or draft.obstructed_claims.get(claim_id)
            current = None if claim is None else claim.current_request
            if claim is not None and current is not None and isinstance(current[1].action, AllocateRequest):
                fail(draft, claim, current[0], refusals.UNWRITABLE)
        draft.set_aside(errors.ResourceName(errors.ResourceKind.CLAIM, claim_id), error)


def _expiry_refusal(draft: Draft, claim: PrivacyBudgetClaim, index: int, policy: Policy) -> Refusal:
    missed_ms = claim.spec.missed_deadline_ms(draft.now_ms)
    if missed_ms is not None:
        return refusals.deadline_passed(missed_ms)
    return _timeout_refusal(draft, claim, index, policy)


def _timeout_refusal(draft: Draft, claim: PrivacyBudgetClaim, index: int, policy: Policy) -> Refusal:
    """Return the refusal of a timeout, with the reason if no time was enough, or less than the request set."""
    request = claim.spec.requests[index].action
    assert isinstance(request, AllocateRequest)  # noqa: S101 - it waits for budget
    if claim.id not in draft.obstructed_claims:
        try:
            matching.require_possible(request, draft.candidates(claim, request))
        except errors.InvalidInput as error:
            return refusals.timed_out(str(error))
    blocked = quotas.shortfalls(draft, claim, index, claim.demand_at(index))
    if blocked:
        return refusals.timed_out("; ".join(blocked))
    asked_ms, most_ms = request.timeout_ms or policy.default_timeout_ms, policy.longest_timeout_ms
    if asked_ms > most_ms:
        return refusals.timed_out(f"{asked_ms} ms is above {LONGEST_TIMEOUT}, which is {most_ms}; ask again")
    if asked_ms > wait_ms(claim, policy, request.timeout_ms):
        return refusals.timed_out(f"the claim has waited {LONGEST_TIMEOUT}, which is {most_ms}; ask in another claim")
    return refusals.TIMED_OUT


def snapshot(draft: Draft) -> Snapshot:
    """Return what the scheduler sees of the draft: the waiting requests by arrival, and their blocks."""
    requests: list[WaitingRequest] = []
    for claim in list(draft.open_claims.values()):
        waiting = waiting_request(claim)
        if waiting is not None:
            with draft.isolated_claim(claim.id):
                requests.append(_scheduled(draft, claim, *waiting))
    blocks = {key: _view(draft.blocks[key]) for request in requests for key in request.demand}
    arrived = tuple(sorted(requests, key=lambda request: request.arrival_ms))
    return Snapshot(blocks, arrived, tuple(quotas.limits(draft, arrived)))


def _scheduled(
    draft: Draft, claim: PrivacyBudgetClaim, index: int, request: AllocateRequest, detail: AllocateResponse
) -> WaitingRequest:
    """Return a waiting request as the scheduler sees it.

    Raises:
        InvalidBudget: its demand is not of the type of a block's budget, or does not name the block's orders.
    """
    demand = {key: amount for key, amount in claim.demand_at(index).items() if key in draft.blocks}
    for block_id, amount in demand.items():
        arithmetic.at_orders_of(amount, draft.blocks[block_id].spec.initial_budget)
    return WaitingRequest(
        id=claim.request_id(index),
        demand=demand,
        n_blocks=request.max_blocks,
        arrival_ms=detail.start_time_ms or 0,
        priority=claim.spec.priority or 0,
        weight=quotas.weight(claim, request.dataset, draft.world.quotas),
        deadline_ms=claim.spec.deadline_ms,
    )


def _view(block: PrivateDataBlock) -> BlockView:
    return BlockView(block.id, block.spec.initial_budget, transitions.status_of(block).available)


def waiting_request(claim: PrivacyBudgetClaim) -> tuple[int, AllocateRequest, AllocateResponse] | None:
    """Return the index of the allocate request that a claim waits for, the request, and its answer so far."""
    current = claim.current_request
    if current is None:
        return None
    index, request = current
    response = claim.response_at(index)
    if response is None or not isinstance(request.action, AllocateRequest):
        return None
    detail = response.detail if isinstance(response.detail, AllocateResponse) else AllocateResponse()
    return index, request.action, detail
