"""What blocks and claims are, and where their budget is, as rows for tables."""

from __future__ import annotations

from collections.abc import Iterator

from privatekube import plain_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import summary, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import format_time
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import (
    AllocateResponse,
    ConsumeResponse,
    RegisterResponse,
    ReleaseResponse,
    Response,
)

Facts = list[tuple[str, object]]
Amounts = list[tuple[str, PrivacyBudget]]


def block_facts(block: PrivateDataBlock) -> Facts:
    """Return what a block is."""
    return [
        ("block", block.id),
        ("dataset", block.spec.dataset),
        ("data", block.spec.data_source),
        ("digest", block.content_digest or "not stated"),
        *(
            (dimension.attribute, dimension.numeric_value or dimension.string_value)
            for dimension in block.spec.dimensions
        ),
        ("alarm", summary.alarm(block) or "none"),
        ("created", _time(block.meta.creation_time_ms)),
    ]


def block_amounts(block: PrivateDataBlock) -> Amounts:
    """Return where the budget of a block is: who holds or waits for how much."""
    status = transitions.status_of(transitions.initialize_status(block))
    return [
        ("initial", block.spec.initial_budget),
        ("locked", status.pending),
        ("available", status.available),
        *((f"acquired by {claim}", amount) for claim, amount in status.acquired.items()),
        *((f"committed by {claim}", amount) for claim, amount in status.committed.items()),
        *((f"requested by {claim}, which waits", amount) for claim, amount in status.reserved.items()),
    ]


def claim_facts(claim: PrivacyBudgetClaim) -> Facts:
    """Return what a claim is."""
    who = claim.requester
    return [
        ("claim", claim.id),
        ("requested by", who.user or plain_text.NOT_STATED),
        ("team", who.team or plain_text.NOT_STATED),
        ("purpose", who.purpose or plain_text.NOT_STATED),
        ("deadline", "none" if claim.spec.deadline_ms is None else format_time(claim.spec.deadline_ms)),
        ("data opened", "yes" if claim.spec.data_opened else "no"),
        ("settled by", _settled_by(claim)),
        ("created", _time(claim.meta.creation_time_ms)),
    ]


def claim_amounts(claim: PrivacyBudgetClaim) -> Amounts:
    """Return what a claim waits for, holds and has committed on which block."""
    return [
        *((f"waits for, on {block_id}", amount) for block_id, amount in claim.status.reserved.items()),
        *((f"acquired on {block_id}", amount) for block_id, amount in claim.status.acquired.items()),
        *((f"committed on {block_id}", amount) for block_id, amount in claim.status.committed.items()),
    ]


def claim_requests(claim: PrivacyBudgetClaim) -> Iterator[tuple[str, str, str, str]]:
    """Yield each request of a claim: its number, what it asks for, the answer, and why or on what."""
    for index, request in enumerate(claim.spec.requests):
        response = claim.response_at(index)
        answer = "not yet" if response is None else str(response.state)
        yield str(index), type(request.action).__name__, answer, _reason(request, response)


def _settled_by(claim: PrivacyBudgetClaim) -> str:
    """Say what settled a claim, or what will."""
    settlement, after = claim.status.settlement, claim.spec.settle_after
    if settlement is not None:
        return f"the control plane, at {_time(settlement.time_ms)}"
    if not claim.is_waiting and not claim.holds_budget:
        return "nothing: it holds no budget"
    stated = "" if after is None else f"at {_time(after.at_ms)}, at the latest "
    return f"its run, or else {stated}the policy's settle_within after its grant"


def _reason(request: Request, response: Response | None) -> str:
    if response is None:
        return ""
    if response.refusal is not None:
        return str(response.refusal)
    if isinstance(response.detail, ConsumeResponse | ReleaseResponse):
        outcomes = response.detail.blocks.items()
        return "; ".join(f"{block_id}: {outcome.error}" for block_id, outcome in outcomes if outcome.error)
    if isinstance(response.detail, RegisterResponse):
        return f"release of {response.detail.step}"
    if isinstance(request.action, AllocateRequest) and isinstance(response.detail, AllocateResponse):
        return summary.number_of_blocks(len(response.detail.budgets))
    return ""


def _time(unix_ms: int | None) -> str:
    return "not yet" if unix_ms is None else format_time(unix_ms)
