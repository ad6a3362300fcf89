"""A forecast in words and as JSON: what would happen to a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from privatekube.forecast import repetitions
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import summary
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import format_time
from privatekube.resources.responses import ResponseState
from privatekube.resources.wire import common

if TYPE_CHECKING:  # it imports numpy, which `privatekube --help` does without
    from privatekube.forecast.forecast import Forecast

_SHOWN = 3


def lines(forecast: Forecast) -> Iterator[str]:
    """Yield what would happen, line by line."""
    if forecast.granted:
        yield f"would be granted now, on {_names(forecast.blocks)}"
        return
    waits = "would wait for an approval" if forecast.needs_approval else "would wait"
    yield f"would be refused: {forecast.refusal}" if forecast.refusal else waits
    yield from _details(forecast)


def fitting(forecast: Forecast, noun: str) -> Iterator[str]:
    """Yield how many such things fit what is left of the blocks; `noun` says what: request or run."""
    if forecast.repetitions:
        such = f"or more such {noun}" if forecast.repetitions == repetitions.MOST else f"such {noun}"
        fit = "fits" if forecast.repetitions == 1 else "fit"
        yield f"{summary.number_of(forecast.repetitions, such)} {fit} in what is left of the blocks"


def explanation(claim: PrivacyBudgetClaim, state: str, forecast: Forecast | None) -> Iterator[str]:
    """Yield the state of a claim, and why it waits or was refused."""
    yield f"claim {claim.id}: {state}"
    for index, response in enumerate(claim.status.responses):
        if response.state is ResponseState.FAILURE:
            yield f"request {index} was refused: {response.refusal}"
    if forecast is None:
        yield f"it was granted as requested, on {_names(_granted_blocks(claim))}"
    elif claim.status.responses and claim.status.responses[-1].state is ResponseState.PENDING:
        yield from _details(forecast) if not forecast.granted else ["it will be granted in the next pass"]
    else:
        first, *details = lines(forecast)
        yield f"if requested again now, it {first}"
        yield from details


def to_json(forecast: Forecast) -> dict[str, Any]:
    """Return what would happen as JSON."""
    return common.present(
        {
            "granted": forecast.granted,
            "blocks": list(forecast.blocks),
            "refusal": forecast.refusal,
            "shortages": [{**asdict(shortage), "holders": list(shortage.holders)} for shortage in forecast.shortages],
            "quotas": list(forecast.quotas),
            "needsApproval": forecast.needs_approval or None,
            "deadline": None if forecast.deadline_ms is None else format_time(forecast.deadline_ms),
            "grantedAt": None if forecast.granted_at_ms is None else format_time(forecast.granted_at_ms),
            "arrivals": forecast.arrivals,
            "fittingShare": forecast.fitting_share,
            "fittingDemand": common.budget_to_wire(forecast.fitting_demand),
            "fittingBlocks": list(forecast.fitting_blocks),
            "repetitions": forecast.repetitions,
        }
    )


def _details(forecast: Forecast) -> Iterator[str]:
    yield from forecast.quotas
    for shortage in forecast.shortages[:_SHOWN]:
        yield str(shortage)
    if len(forecast.shortages) > _SHOWN:
        yield f"... and {len(forecast.shortages) - _SHOWN} more of its {summary.number_of_blocks(len(forecast.blocks))}"
    if not forecast.shortages and not forecast.refusal and not forecast.quotas:
        yield "its blocks have room for it, but it exceeds an equal share"
    if not forecast.refusal:
        yield f"when: {_when(forecast)}"
        if forecast.deadline_ms is not None:
            at = format_time(forecast.deadline_ms)
            yield f"deadline: {at}, from then on it is refused; of equals the earliest is first"
    yield from _alternatives(forecast)


def _when(forecast: Forecast) -> str:
    if forecast.granted_at_ms is not None:
        return f"at {format_time(forecast.granted_at_ms)}, when time has unlocked it, if no other request comes first"
    if forecast.arrivals is not None:
        number = summary.number_of(forecast.arrivals, "more request")
        condition = "it leaves what it unlocks" if forecast.arrivals == 1 else "they leave what they unlock"
        return f"after {number} on its blocks, if {condition}"
    if forecast.needs_approval:
        return "once somebody else with the role privatekube-approver approves it: privatekube approve CLAIM"
    if forecast.quotas:
        return "once what counts for the quota is less: claims release, a month begins, or the data owner raises it"
    holders = sorted({holder for shortage in forecast.shortages for holder in shortage.holders})
    unlocking = "by unlocking" if forecast.deadline_ms is None else "by unlocking before its deadline"
    if holders:
        return f"not {unlocking}; only if a claim releases what it holds: {', '.join(holders[:_SHOWN])}"
    return f"not {unlocking}, and no claim holds budget that could be released"


def _alternatives(forecast: Forecast) -> Iterator[str]:
    if forecast.fitting_share is not None:
        yield f"would fit now: {_part(forecast.fitting_share, forecast.fitting_demand)}, on as many blocks"
    if forecast.fitting_blocks:
        yield f"would fit now: the whole demand on {_names(forecast.fitting_blocks)}"
    refused_whatever_is_left = forecast.refusal and not forecast.shortages  # so that less would be refused, too
    if forecast.fitting_share is None and not forecast.fitting_blocks and not refused_whatever_is_left:
        yield "nothing of it would fit now on its blocks"


def _part(share: float, amount: PrivacyBudget | None) -> str:
    if isinstance(amount, EpsilonDelta):
        return f"epsilon {amount.epsilon:.4g} ({share:.1%} of it) with the same delta"
    return f"{share:.1%} of the demand" + (" at each of its orders" if amount is not None else " on each block")


def _names(blocks: tuple[str, ...]) -> str:
    shown = ", ".join(blocks[:_SHOWN])
    more = f", ... and {len(blocks) - _SHOWN} more" if len(blocks) > _SHOWN else ""
    return f"{summary.number_of_blocks(len(blocks))}: {shown}{more}"


def _granted_blocks(claim: PrivacyBudgetClaim) -> tuple[str, ...]:
    return tuple({**claim.status.acquired, **claim.status.committed})
