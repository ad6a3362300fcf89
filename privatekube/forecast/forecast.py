"""Forecast what would happen to a request: the passes that would decide it run, and nothing is written or guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from privatekube import errors, html_table
from privatekube.client.store_client import StoreClient
from privatekube.engine import quotas, unlocking
from privatekube.engine.draft import Draft
from privatekube.forecast import repetitions
from privatekube.forecast.sandbox import Sandbox
from privatekube.privacy import bisection
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import matching, shortages, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.resources.responses import ResponseState
from privatekube.resources.shortages import Shortage

_HALVINGS = 20
"""Steps of the search for the largest share of a demand that fits."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen to a request.

    Args:
        granted: whether it would be granted now, on `blocks`.
        blocks: what it would get, or else its candidates.
        refusal: why it would be refused at once, however long it waited.
        shortages: what its candidates lack now.
        quotas: which quotas keep it from candidates now, and what of them is used.
        deadline_ms: when its results become useless, so that it would be refused, in unix milliseconds; None for never.
        needs_approval: whether it needs an approval by somebody else.
        granted_at_ms: when time would have unlocked enough, in unix milliseconds, if no other request came.
        arrivals: after how many more requests on its blocks enough would be unlocked, if they did not take it.
        fitting_share: the largest share of the demand, from 0 to 1, that would be granted now on as many blocks: of
            epsilon, with the same delta, or of each Renyi epsilon.
        fitting_demand: this part of the demand.
        fitting_blocks: on which blocks the whole demand would be granted now, if it asked for fewer.
        repetitions: how many such requests fit what is left of the blocks that it would get, this one included, and
            also what is locked; 0 if it would be refused.
    """

    granted: bool
    blocks: tuple[str, ...] = ()
    refusal: str | None = None
    shortages: tuple[Shortage, ...] = ()
    quotas: tuple[str, ...] = ()
    needs_approval: bool = False
    deadline_ms: int | None = None
    granted_at_ms: int | None = None
    arrivals: int | None = None
    fitting_share: float | None = None
    fitting_demand: PrivacyBudget | None = None
    fitting_blocks: tuple[str, ...] = ()
    repetitions: int = 0

    def _repr_html_(self) -> str:
        from privatekube.forecast import text  # noqa: PLC0415 - it describes what is defined here

        return html_table.table(("forecast",), ([line] for line in (*text.lines(self), *text.fitting(self, "request"))))


def forecast_request(
    client: StoreClient,
    namespace: str,
    request: AllocateRequest,
    requester: Requester | None = None,
    *,
    deadline_ms: int | None = None,
) -> Forecast:
    """Return what would happen to `request` if a new claim in that namespace made it now.

    Args:
        client: of the store.
        namespace: of the claim.
        request: what it would ask for.
        requester: who would make it: quotas are of teams; None if that is not stated.
        deadline_ms: when its results become useless, in unix milliseconds; None for never.
    """
    sandbox = Sandbox.of(client, requester or Requester(), deadline_ms)
    try:
        candidates = matching.candidates(request, namespace, sandbox.blocks)
        matching.require_enough(request, len(candidates))
        demands = matching.demand(request, candidates)
    except errors.InvalidInput as error:
        return Forecast(granted=False, refusal=str(error))
    granted = sandbox.would_grant(namespace, request)
    if granted is not None:
        chosen = [block for block in candidates if block.id in granted]
        fitting = repetitions.of_request(chosen, demands, needed=len(chosen))
        return Forecast(granted=True, blocks=granted, repetitions=fitting)
    waiting, claim_id = sandbox.submit(namespace, request)
    refusal = waiting.refusal(claim_id)
    if refusal is not None:
        return Forecast(granted=False, blocks=tuple(block.id for block in candidates), refusal=refusal)
    try:
        shortages.require_possible(candidates, request)
    except errors.BudgetUnavailable as error:
        forecast = replace(_lacking(waiting, claim_id, 0), refusal=str(error))
    else:
        needed = matching.needed(request, len(candidates))
        fitting = repetitions.of_request(candidates, demands, needed=needed)
        forecast = replace(_waiting(waiting, claim_id, 0), repetitions=fitting)
    return _with_alternatives(forecast, sandbox, namespace, request)


def explain_claim(client: StoreClient, claim: PrivacyBudgetClaim) -> Forecast | None:
    """Return why a claim waits, or what would happen if a refused claim asked again; None if it was granted.

    Raises:
        InvalidInput: the claim has no request for budget.
    """
    indices = [i for i, request in enumerate(claim.spec.requests) if isinstance(request.action, AllocateRequest)]
    if not indices:
        raise errors.InvalidInput(f"claim {claim.id}: asks for no budget, so there is nothing to explain")
    index, namespace = indices[-1], claim.meta.namespace
    request = claim.spec.requests[index].action
    assert isinstance(request, AllocateRequest)  # noqa: S101 - chosen so above
    if _state(claim, index) is ResponseState.SUCCESS:
        return None
    sandbox = Sandbox.of(client, claim.requester, claim.spec.deadline_ms)
    granted = sandbox.granted(claim.id, index)
    if granted is not None:
        return Forecast(granted=True, blocks=granted)
    if _state(sandbox.claim(claim.id), index) is not ResponseState.PENDING:  # refused, or its time is over by now
        return forecast_request(client, namespace, request, claim.requester, deadline_ms=claim.spec.deadline_ms)
    forecast = _waiting(sandbox, claim.id, index)
    return _with_alternatives(forecast, sandbox.forget(claim.id), namespace, request)


def _state(claim: PrivacyBudgetClaim, index: int) -> ResponseState | None:
    response = claim.response_at(index)
    return None if response is None else response.state


def _waiting(sandbox: Sandbox, claim_id: str, index: int) -> Forecast:
    """Return what a waiting claim lacks, and when that would be unlocked."""
    forecast = _lacking(sandbox, claim_id, index)
    candidates = [block for block in sandbox.blocks if block.id in forecast.blocks]
    if sandbox.policy.unlocking.period_ms is not None:
        return replace(forecast, granted_at_ms=_when(sandbox, claim_id, index, candidates))
    limit = unlocking.arrivals_until_unlocked(sandbox.policy)
    if limit is None:
        return forecast
    return replace(forecast, arrivals=_arrivals(sandbox, claim_id, index, candidates, limit=limit))


def _lacking(sandbox: Sandbox, claim_id: str, index: int) -> Forecast:
    """Return what the blocks of a waiting claim lack for it."""
    demands = sandbox.claim(claim_id).demand_at(index)
    candidates = [block for block in sandbox.blocks if block.id in demands]
    lacking = tuple(shortages.shortages(candidates, demands))
    blocked = tuple(quotas.shortfalls(Draft(sandbox.world), sandbox.claim(claim_id), index, demands))
    names = tuple(block.id for block in candidates)
    claim = sandbox.claim(claim_id)
    return Forecast(
        granted=False,
        blocks=names,
        shortages=lacking,
        quotas=blocked,
        needs_approval=claim.awaits_approval,
        deadline_ms=claim.spec.deadline_ms,
    )


def _when(sandbox: Sandbox, claim_id: str, index: int, candidates: list[PrivateDataBlock]) -> int | None:
    """Return the time of the tick that would grant the claim if no other came, in unix milliseconds; None if never."""
    period_ms = sandbox.policy.unlocking.period_ms or 1
    last_ms = max(transitions.status_of(block).last_release_ms or sandbox.now_ms for block in candidates)
    ends = [unlocking.end_ms(block, sandbox.policy) or last_ms for block in candidates]
    limit = max(1, math.ceil((max(ends) - last_ms) / period_ms))

    def tick(before: Sandbox, ticks: int, _: int) -> Sandbox:
        return before.run(last_ms + ticks * period_ms)

    ticks = sandbox.first(claim_id, index, limit=limit, advance=tick)
    return None if ticks is None else last_ms + ticks * period_ms


def _arrivals(
    sandbox: Sandbox, claim_id: str, index: int, candidates: list[PrivateDataBlock], *, limit: int
) -> int | None:
    """Return how many more arrivals on its blocks, up to `limit`, unlock enough if they take nothing; None if none."""
    names = {block.id for block in candidates}

    def arrive(before: Sandbox, _: int, more: int) -> Sandbox:
        arrived_on = [block for block in before.blocks if block.id in names]
        for _ in range(more):
            arrived_on = [unlocking.on_arrival(block, sandbox.policy) for block in arrived_on]
        return before.with_blocks(arrived_on)

    return sandbox.first(claim_id, index, limit=limit, advance=arrive)


def _with_alternatives(forecast: Forecast, sandbox: Sandbox, namespace: str, request: AllocateRequest) -> Forecast:
    """Add what would be granted now instead: a smaller demand, or the same demand on fewer blocks."""

    def share_fits(share: float) -> bool:
        return sandbox.would_grant(namespace, _scaled(request, share)) is not None

    def number_fits(n_blocks: int) -> bool:
        return sandbox.would_grant(namespace, _on(n_blocks, request)) is not None

    part = bisection.largest_number(share_fits, below=1.0, halvings=_HALVINGS) or None
    demand = request.expected_budget.constant
    fitting = None if part is None or demand is None else _part(demand, part)
    needed = matching.needed(request, len(forecast.blocks))
    few = bisection.largest_integer(number_fits, limit=needed - 1)
    blocks = sandbox.would_grant(namespace, _on(few, request)) if few else ()
    return replace(forecast, fitting_share=part, fitting_demand=fitting, fitting_blocks=blocks or ())


def _on(n_blocks: int, request: AllocateRequest) -> AllocateRequest:
    """Return the request for this number of blocks."""
    return replace(request, min_blocks=n_blocks, max_blocks=n_blocks)


def _scaled(request: AllocateRequest, share: float) -> AllocateRequest:
    """Return the request for a part of its demand."""
    demand = request.expected_budget
    constant, by_block = demand.constant, demand.by_block
    if constant is not None:
        constant = _part(constant, share)
    if by_block is not None:
        by_block = {block: _part(amount, share) for block, amount in by_block.items()}
    return replace(request, expected_budget=BudgetDemand(constant, by_block))


def _part(amount: PrivacyBudget, share: float) -> PrivacyBudget:
    """Return less epsilon for the same delta, or less at each order."""
    return EpsilonDelta(amount.epsilon * share, amount.delta) if isinstance(amount, EpsilonDelta) else amount * share
