"""What would happen to a request: tried out on a copy of the store, so that nothing is charged or guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from privatekube import errors
from privatekube.client.embedded import ControlPlane
from privatekube.forecast.sandbox import Trial
from privatekube.privacy import bisection
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.reconcile import allocate_requests
from privatekube.resources import matching, transitions
from privatekube.resources import shortages as explaining
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.resources.responses import ResponseState
from privatekube.resources.shortages import Shortage
from privatekube.scheduling import unlocking as unlockings


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would happen to a request.

    Args:
        granted: whether it would be granted now, on `blocks`.
        blocks: what it would get, or else its candidates.
        refusal: why it would be refused at once, however long it waited.
        shortages: what its candidates lack now.
        granted_at_ms: when time would have unlocked enough, unix milliseconds, if nobody else came.
        arrivals: after how many more requests on its blocks enough would be unlocked, if they left it there.
        fitting: the largest part of the demand, from 0 to 1, that would be granted now on as many blocks: of epsilon,
            with the same delta, or at each Renyi order.
        fitting_demand: this part of the demand.
        fitting_blocks: on which blocks the whole demand would be granted now, if it asked for fewer.
    """

    granted: bool
    blocks: tuple[str, ...] = ()
    refusal: str | None = None
    shortages: tuple[Shortage, ...] = ()
    granted_at_ms: int | None = None
    arrivals: int | None = None
    fitting: float | None = None
    fitting_demand: PrivacyBudget | None = None
    fitting_blocks: tuple[str, ...] = ()


def foresee(plane: ControlPlane, namespace: str, request: AllocateRequest) -> Prospect:
    """What would happen to `request` if a new claim in that namespace made it now."""
    trial = Trial.of(plane)
    try:
        found = matching.candidates(request, namespace, trial.blocks())
        matching.require_enough(request, len(found))
        matching.demand(request, found)
    except errors.InvalidInput as error:
        return Prospect(granted=False, refusal=str(error))
    granted = trial.would_grant(namespace, request)
    if granted is not None:
        return Prospect(granted=True, blocks=granted)
    waiting = trial.copy()
    claim_id = waiting.submit(namespace, request)
    try:
        explaining.require_possible(found, request)
    except errors.BudgetUnavailable as error:
        prospect = replace(_lacking(waiting, claim_id, 0), refusal=str(error))
    else:
        prospect = _waiting(waiting, claim_id, 0)
    return _with_alternatives(prospect, trial, namespace, request)


def explain(plane: ControlPlane, claim: PrivacyBudgetClaim) -> Prospect | None:
    """What keeps a waiting claim waiting, or what would happen if a refused one asked again; None if it was granted.

    Raises:
        InvalidInput: the claim never asked for budget.
    """
    asked = [place for place, each in enumerate(claim.spec.requests) if isinstance(each.action, AllocateRequest)]
    if not asked:
        raise errors.InvalidInput(f"claim {claim.id}: asks for no budget, so there is nothing to explain")
    index, namespace = asked[-1], claim.meta.namespace
    request = claim.spec.requests[index].action
    assert isinstance(request, AllocateRequest)  # noqa: S101 - chosen so above
    if _state(claim, index) is ResponseState.SUCCESS:
        return None
    trial = Trial.of(plane)
    granted = trial.granted(claim.id, index)
    if granted is not None:
        return Prospect(granted=True, blocks=granted)
    if _state(trial.claim(claim.id), index) is not ResponseState.PENDING:  # refused, or its time is over by now
        return foresee(plane, namespace, request)
    prospect = _waiting(trial, claim.id, index)
    trial.forget(claim.id)
    return _with_alternatives(prospect, trial, namespace, request)


def _state(claim: PrivacyBudgetClaim, index: int) -> ResponseState | None:
    response = claim.response_at(index)
    return None if response is None else response.state


def _waiting(trial: Trial, claim_id: str, index: int) -> Prospect:
    """What a claim that waits there waits for, and until when."""
    prospect = _lacking(trial, claim_id, index)
    found = [block for block in trial.blocks() if block.id in prospect.blocks]
    if trial.policy.unlocking.period_ms is not None:
        return replace(prospect, granted_at_ms=_when(trial, claim_id, index, found))
    if 0 < trial.policy.unlocking.on_arrival < 1:
        return replace(prospect, arrivals=_arrivals(trial, claim_id, index, found))
    return prospect


def _lacking(trial: Trial, claim_id: str, index: int) -> Prospect:
    """What its blocks lack for a claim that waits there."""
    demands = allocate_requests.demand_of(trial.claim(claim_id), index)
    found = [block for block in trial.blocks() if block.id in demands]
    lacking = tuple(explaining.shortages(found, demands))
    return Prospect(granted=False, blocks=tuple(block.id for block in found), shortages=lacking)


def _when(trial: Trial, claim_id: str, index: int, found: list[PrivateDataBlock]) -> int | None:
    """The tick, counted from the last one, at which the claim would be granted if nobody else came; None if never."""
    period_ms = trial.policy.unlocking.period_ms or 1
    last_ms = max(transitions.status_of(block).last_release_ms or trial.now_ms for block in found)
    ends = [trial.policy.unlocking.ends_ms(allocate_requests.schedule(block)) or last_ms for block in found]
    limit = max(1, math.ceil((max(ends) - last_ms) / period_ms))

    def tick(copy: Trial, ticks: int, _: int) -> None:
        copy.run(last_ms + ticks * period_ms)

    ticks = trial.first(claim_id, index, limit=limit, advance=tick)
    return None if ticks is None else last_ms + ticks * period_ms


def _arrivals(trial: Trial, claim_id: str, index: int, found: list[PrivateDataBlock]) -> int | None:
    """How many more arrivals on its blocks unlock enough, if they take nothing; None if none do."""
    policy, names = trial.policy.unlocking, {block.id for block in found}

    def arrive(copy: Trial, _: int, more: int) -> None:
        for block in (each for each in copy.blocks() if each.id in names):
            opened = block
            for _ in range(more):
                amount = unlockings.arriving(policy, block.spec.initial_budget, transitions.status_of(opened).pending)
                opened = opened if amount is None else transitions.unlock(opened, amount)
            copy.store.update_status(opened)
        copy.run()

    return trial.first(claim_id, index, limit=math.ceil(1 / policy.on_arrival), advance=arrive)


def _with_alternatives(prospect: Prospect, trial: Trial, namespace: str, request: AllocateRequest) -> Prospect:
    """Add what would be granted now instead: less of everything, or the same on fewer blocks."""
    part = bisection.largest_share(lambda share: trial.would_grant(namespace, _scaled(request, share)) is not None)
    asked = request.expected_budget.constant
    fitting = None if part is None or asked is None else _part(asked, part)
    needed = matching.needed(request, len(prospect.blocks))
    few = bisection.most(lambda n: trial.would_grant(namespace, _on(n, request)) is not None, needed - 1)
    blocks = trial.would_grant(namespace, _on(few, request)) if few else ()
    return replace(prospect, fitting=part, fitting_demand=fitting, fitting_blocks=blocks or ())


def _on(n_blocks: int, request: AllocateRequest) -> AllocateRequest:
    """The request on so many blocks."""
    return replace(request, min_blocks=n_blocks, max_blocks=n_blocks)


def _scaled(request: AllocateRequest, share: float) -> AllocateRequest:
    """The request for a part of its demand."""
    asked = request.expected_budget
    by_block = None if asked.by_block is None else {key: _part(each, share) for key, each in asked.by_block.items()}
    constant = None if asked.constant is None else _part(asked.constant, share)
    return replace(request, expected_budget=BudgetDemand(constant, by_block))


def _part(amount: PrivacyBudget, share: float) -> PrivacyBudget:
    """Less epsilon for the same delta, or less at each order."""
    return EpsilonDelta(amount.epsilon * share, amount.delta) if isinstance(amount, EpsilonDelta) else amount * share
