"""The wire form of the answers in a PrivacyBudgetClaim's status."""

from __future__ import annotations

from collections.abc import Mapping

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.claim import ClaimStatus
from privatekube.resources.refusals import Refusal
from privatekube.resources.responses import (
    AllocateResponse,
    Allocation,
    ConsumeResponse,
    Detail,
    RegisterResponse,
    ReleaseResponse,
    Response,
    ResponseState,
    Settlement,
)
from privatekube.resources.wire import block_groups, common, reader
from privatekube.resources.wire.block_groups import BlockGroups
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

_NO_GROUPS = BlockGroups()


def from_wire(document: Reader, groups: BlockGroups = _NO_GROUPS) -> Response:
    """Read the answer to one request, in a status with these groups."""
    return Response(
        identifier=document.text("identifier", ""),
        state=reader.member(ResponseState, document, "state"),
        refusal=None if (text := document.optional_text("error")) is None else Refusal.parse(text),
        detail=_detail(document, groups),
    )


def _detail(document: Reader, groups: BlockGroups) -> Detail | None:
    if "allocateResponse" in document:
        inner = document.child("allocateResponse")
        allocations = {
            key: Allocation(common.read_budget(fields, "acquired"), common.read_budget(fields, "reserved"))
            for key, fields in inner.entries("budgets").items()
        }
        return AllocateResponse(
            groups.held_by_block(allocations, inner.path_of("budgets")),
            inner.whole("startTime"),
            inner.whole("finishTime"),
            awaits_approval=inner.optional_text("awaitsApproval"),
            approval=common.read_approval(inner.child("approval")) if "approval" in inner else None,
        )
    if "consumeResponse" in document:
        return ConsumeResponse(_settlements(document, "consumeResponse", groups))
    if "releaseResponse" in document:
        return ReleaseResponse(_settlements(document, "releaseResponse", groups))
    if "registerResponse" in document:
        return RegisterResponse(document.child("registerResponse").text("step"))
    return None


def _settlements(document: Reader, name: str, groups: BlockGroups) -> dict[str, Settlement]:
    settlements = {
        key: Settlement(budget=common.read_budget(fields, "budget"), error=fields.optional_text("error"))
        for key, fields in document.entries(name).items()
    }
    return groups.by_block(settlements, document.path_of(name))


def to_wire(response: Response, groups: BlockGroups = _NO_GROUPS) -> Json:
    """Return the answer to one request as JSON, in a status with these groups."""
    error = None if response.refusal is None else str(response.refusal)
    wire = common.present({"identifier": response.identifier, "state": str(response.state), "error": error})
    detail = response.detail
    if isinstance(detail, AllocateResponse):
        allocations = {
            key: common.present(
                {
                    "acquired": common.budget_to_wire(allocation.acquired),
                    "reserved": common.budget_to_wire(allocation.reserved),
                }
            )
            for key, allocation in sorted(groups.by_group(detail.budgets).items())
        }
        times = {"startTime": detail.start_time_ms, "finishTime": detail.finish_time_ms}
        approval = {"awaitsApproval": detail.awaits_approval, "approval": common.approval_to_wire(detail.approval)}
        wire["allocateResponse"] = common.present({"budgets": allocations, **times, **approval})
    elif isinstance(detail, RegisterResponse):
        wire["registerResponse"] = {"step": detail.step}
    elif detail is not None:
        name = "consumeResponse" if isinstance(detail, ConsumeResponse) else "releaseResponse"
        wire[name] = {
            key: common.present({"budget": common.budget_to_wire(outcome.budget), "error": outcome.error})
            for key, outcome in sorted(groups.by_group(detail.blocks).items())
        }
    return wire


def groups_of(status: ClaimStatus) -> BlockGroups:
    """Return the groups of blocks with which a claim's status is written."""
    held = [status.acquired, status.reserved, status.committed]
    answers = [_by_block(response.detail) for response in status.responses]
    settled = [] if status.settlement is None else [status.settlement.budgets]
    amounts = [pair for amounts in (*held, *settled, *map(_amounts, answers)) for pair in amounts.items()]
    if not block_groups.are_many(amounts, most_bytes=block_groups.MOST_IN_STATUS):
        return BlockGroups()
    return BlockGroups.of([*held, *settled, *answers])


def _by_block(detail: Detail | None) -> Mapping[str, Allocation | Settlement]:
    match detail:
        case AllocateResponse(budgets=budgets):
            return budgets
        case ConsumeResponse(blocks=blocks) | ReleaseResponse(blocks=blocks):
            return blocks
        case RegisterResponse() | None:
            return {}


def _amounts(answers: Mapping[str, Allocation | Settlement]) -> dict[str, PrivacyBudget]:
    """Return the amounts in an answer."""
    amounts = {
        key: (item.acquired or item.reserved) if isinstance(item, Allocation) else item.budget
        for key, item in answers.items()
    }
    return {key: amount for key, amount in amounts.items() if amount is not None}
