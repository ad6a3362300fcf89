"""Quotas of teams and namespaces: what was committed and is held counts, by the ledger and the blocks.

Only the ledger tells what was committed: a claim may be gone, or be another one of the same name. What claims hold
counts whatever month it was granted in. What is held by a claim that is gone, or cannot be read, counts for every team.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from privatekube import errors
from privatekube.engine.draft import Draft
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger, ledger_totals, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.quota import Period, PrivacyBudgetQuota
from privatekube.resources.requests import AllocateRequest
from privatekube.scheduling.limits import Limit
from privatekube.scheduling.snapshot import WaitingRequest

Room = tuple[dict[str, PrivacyBudget], dict[str, PrivacyBudget]]
"""What a quota allows on each block, and what of it is used."""


def require_quota(claim: PrivacyBudgetClaim, dataset: str, quotas: Iterable[PrivacyBudgetQuota]) -> None:
    """Check that a claim is of a team with a quota, where there are quotas of teams: no other name gets around them.

    Raises:
        InvalidInput: it names no team, or one without a quota.
    """
    applicable = [quota for quota in quotas if quota.is_of(claim.meta.namespace, dataset)]
    teams = sorted({quota.spec.team for quota in applicable if quota.spec.team is not None})
    team = claim.requester.team
    if teams and team not in teams:
        fault = "is not stated" if team is None else f"{team} has no quota"
        raise errors.InvalidInput(
            f"team: {fault}; {dataset} is for the teams {', '.join(teams)}: claim for one of them, or ask its owner"
        )


def weight(claim: PrivacyBudgetClaim, dataset: str, quotas: Iterable[PrivacyBudgetQuota]) -> float:
    """Return the weight of a claim's team for a dataset: the smallest of those that its quotas state, or else 1."""
    stated = [quota.spec.weight for quota in quotas if quota.spec.weight is not None and quota.limits(claim, dataset)]
    return min(stated, default=1.0)


def limits(draft: Draft, waiting: Iterable[WaitingRequest]) -> Iterator[Limit]:
    """Yield the limits of waiting requests: one for each quota that limits any."""
    requests, quotas = list(waiting), draft.world.quotas
    datasets = {request.id: _dataset(draft, request) for request in requests} if quotas else {}
    for quota in quotas:
        limited = frozenset(
            request.id
            for request in requests
            if _is_limited(draft.open_claims[request.id.claim], request.id.index, datasets[request.id], quota)
        )
        if limited:
            yield Limit(limited, *room_of(draft, quota))
    unlisted = frozenset(
        request.id for request in requests if quotas and not _has_quota(draft, request, datasets[request.id])
    )
    if unlisted:  # it waited before there were quotas of teams
        yield Limit(unlisted, {}, {})


def shortfalls(draft: Draft, claim: PrivacyBudgetClaim, index: int, demand: Mapping[str, PrivacyBudget]) -> list[str]:
    """Return which quotas keep a waiting request from blocks, and how much of each is used."""
    action = claim.spec.requests[index].action
    dataset = action.dataset if isinstance(action, AllocateRequest) else ""
    try:
        require_quota(claim, dataset, draft.world.quotas)
    except errors.InvalidInput as error:
        return [str(error)]
    lines = []
    for quota in draft.world.quotas:
        if not _is_limited(claim, index, dataset, quota):
            continue
        limit = Limit(frozenset([claim.request_id(index)]), *room_of(draft, quota))
        lacking = [key for key, amount in demand.items() if not limit.allows(key, amount)]
        if lacking:
            used = limit.used.get(lacking[0])
            held = "" if used is None else f"; {used} is committed or held on {lacking[0]}"
            lines.append(f"{quota}{held}")
    return lines


def is_beyond(claim: PrivacyBudgetClaim, index: int, quota: PrivacyBudgetQuota, room: Room) -> bool:
    """Return whether a quota, of which there is that room, allows too few of the blocks that a waiting request has."""
    action, demand = claim.spec.requests[index].action, claim.demand_at(index)
    if not isinstance(action, AllocateRequest) or not _is_limited(claim, index, action.dataset, quota):
        return False
    limit = Limit(frozenset([claim.request_id(index)]), *room)
    n_allowed = sum(limit.allows(key, amount) for key, amount in demand.items())
    return n_allowed < min(action.max_blocks or len(demand), len(demand))


def _is_limited(claim: PrivacyBudgetClaim, index: int, dataset: str, quota: PrivacyBudgetQuota) -> bool:
    """Return whether a quota limits a request: an approved one may go beyond a threshold."""
    return quota.limits(claim, dataset) and not (quota.is_threshold and claim.is_approved(index))


def _dataset(draft: Draft, request: WaitingRequest) -> str:
    action = draft.open_claims[request.id.claim].spec.requests[request.id.index].action
    return action.dataset if isinstance(action, AllocateRequest) else ""


def _has_quota(draft: Draft, request: WaitingRequest, dataset: str) -> bool:
    try:
        require_quota(draft.open_claims[request.id.claim], dataset, draft.world.quotas)
    except errors.InvalidInput:
        return False
    return True


def room_of(draft: Draft, quota: PrivacyBudgetQuota) -> Room:
    """Return what a quota allows on each block, and what of it is used; a block that cannot be told is left out."""
    capacity: dict[str, PrivacyBudget] = {}
    used: dict[str, PrivacyBudget] = {}
    by_data: dict[tuple[str, str], list[Entry]] = {}
    this_month = ledger_totals.month(draft.now_ms)
    for entry in (*draft.world.charges, *draft.entered):
        if _is_counted(entry, quota, this_month=this_month):
            by_data.setdefault((entry.dataset, entry.data), []).append(entry)
    for block in draft.blocks.values():
        if not quota.is_of(block.meta.namespace, block.spec.dataset):
            continue
        entries = by_data.get((block.spec.dataset, ledger.data_key(block)), [])
        amounts = [*(entry.amount for entry in _distinct(entries)), *_held(draft, block, quota)]
        whole = block.spec.initial_budget
        try:
            aligned = [arithmetic.at_orders_of(amount, whole) for amount in amounts]
        except errors.InvalidBudget:  # committed in another accounting: what is left of the quota cannot be told
            continue
        capacity[block.id] = quota.spec.of(whole)
        used[block.id] = arithmetic.total(aligned, start=whole * 0.0)
    return capacity, used


def _distinct(entries: Iterable[Entry]) -> Iterable[Entry]:
    return {entry.identity: entry for entry in entries}.values()


def _is_counted(entry: Entry, quota: PrivacyBudgetQuota, *, this_month: str) -> bool:
    """Return whether what was committed counts for a quota: by the namespace of the claim, its team, and the month."""
    if entry.reason == ledger.INHERITED or entry.claim.partition("/")[0] != quota.meta.namespace:
        return False
    if quota.spec.period is Period.MONTH and ledger_totals.month(entry.time_ms) != this_month:
        return False
    return quota.spec.team in (None, entry.requester.team)


def _held(draft: Draft, block: PrivateDataBlock, quota: PrivacyBudgetQuota) -> Iterator[PrivacyBudget]:
    """Yield what is granted and neither committed nor released: by the quota's team, or by nobody knows whom."""
    status = transitions.status_of(block)
    held = list(status.acquired.items())
    unfinished = transitions.unfinished_locks(block).items()
    held += [(request.claim, lock.acquired) for request, lock in unfinished if lock.acquired is not None]
    for claim_id, amount in held:
        claim = None if quota.spec.team is None else draft.claim(claim_id)
        if claim is None or claim.requester.team == quota.spec.team or not _is_stated(amount, claim, block):
            yield amount


def _is_stated(amount: PrivacyBudget, claim: PrivacyBudgetClaim, block: PrivateDataBlock) -> bool:
    """Return whether a claim says that it holds this much of a block: another one of its name may have held it."""
    stated = claim.status.acquired.get(block.id)
    return stated is not None and arithmetic.is_close(stated, amount)
