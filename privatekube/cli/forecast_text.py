"""What would happen to a request, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from privatekube.forecast.forecast import Prospect
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import format_time
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import ResponseState
from privatekube.resources.wire import common

_SHOWN = 3


def lines(prospect: Prospect, request: AllocateRequest) -> Iterator[str]:
    """What would happen, line by line."""
    if prospect.granted:
        yield f"would be granted now, on {_names(prospect.blocks)}"
        return
    yield f"would be refused: {prospect.refusal}" if prospect.refusal else "would wait"
    yield from _details(prospect, request)


def explanation(claim: PrivacyBudgetClaim, state: str, prospect: Prospect | None) -> Iterator[str]:
    """Where a claim stands, and what keeps it there."""
    yield f"claim {claim.id}: {state}"
    for index, response in enumerate(claim.status.responses):
        if response.state is ResponseState.FAILURE:
            yield f"request {index} was refused: {response.error}"
    request = next((e.action for e in reversed(claim.spec.requests) if isinstance(e.action, AllocateRequest)), None)
    if prospect is None or request is None:
        yield f"it was granted what it asked, on {_names(_granted_blocks(claim))}"
    elif claim.status.responses and claim.status.responses[-1].state is ResponseState.PENDING:
        yield from _details(prospect, request) if not prospect.granted else ["it will be granted in the next pass"]
    else:
        first, *others = lines(prospect, request)
        yield f"asked again now, it {first}"
        yield from others


def to_json(prospect: Prospect) -> dict[str, Any]:
    """What would happen, as JSON."""
    return common.present(
        {
            "granted": prospect.granted,
            "blocks": list(prospect.blocks),
            "refusal": prospect.refusal,
            "shortages": [{**asdict(each), "holders": list(each.holders)} for each in prospect.shortages],
            "grantedAt": None if prospect.granted_at_ms is None else format_time(prospect.granted_at_ms),
            "arrivals": prospect.arrivals,
            "fittingShare": prospect.fitting,
            "fittingDemand": common.budget_to_wire(prospect.fitting_demand),
            "fittingBlocks": list(prospect.fitting_blocks),
        }
    )


def _details(prospect: Prospect, request: AllocateRequest) -> Iterator[str]:
    for shortage in prospect.shortages[:_SHOWN]:
        yield str(shortage)
    if len(prospect.shortages) > _SHOWN:
        yield f"... and {len(prospect.shortages) - _SHOWN} more of its {len(prospect.blocks)} blocks"
    if not prospect.shortages and not prospect.refusal:
        yield "its blocks have room for it, but not for everybody's equal share"
    if not prospect.refusal:
        yield f"when: {_when(prospect)}"
    yield from _alternatives(prospect, request)


def _when(prospect: Prospect) -> str:
    if prospect.granted_at_ms is not None:
        return f"at {format_time(prospect.granted_at_ms)}, if nobody else comes: time unlocks it"
    if prospect.arrivals is not None:
        return f"after {prospect.arrivals} more requests on its blocks, if they leave what they unlock"
    holders = sorted({holder for shortage in prospect.shortages for holder in shortage.holders})
    if holders:
        return f"not by unlocking; only if a claim gives back what it holds: {', '.join(holders[:_SHOWN])}"
    return "not by unlocking, and nobody holds what could come back"


def _alternatives(prospect: Prospect, request: AllocateRequest) -> Iterator[str]:
    if prospect.fitting is not None:
        yield f"would fit now: {_part(prospect.fitting, prospect.fitting_demand)}, on as many blocks"
    if prospect.fitting_blocks:
        yield f"would fit now: the whole demand on {_names(prospect.fitting_blocks)}"
    if prospect.fitting is None and not prospect.fitting_blocks:
        yield f"nothing of it would fit now on blocks of dataset {request.dataset!r}"


def _part(share: float, amount: PrivacyBudget | None) -> str:
    if isinstance(amount, EpsilonDelta):
        return f"epsilon {amount.epsilon:.4g} ({share:.1%} of it) with the same delta"
    return f"{share:.1%} of the demand" + (" at each of its orders" if amount is not None else " on each block")


def _names(blocks: tuple[str, ...]) -> str:
    shown = ", ".join(blocks[:_SHOWN])
    more = f", ... and {len(blocks) - _SHOWN} more" if len(blocks) > _SHOWN else ""
    return f"{len(blocks)} block{'s' if len(blocks) != 1 else ''}: {shown}{more}"


def _granted_blocks(claim: PrivacyBudgetClaim) -> tuple[str, ...]:
    return tuple({**claim.status.acquired, **claim.status.committed})
