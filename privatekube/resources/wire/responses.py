"""The wire form of the answers in a PrivacyBudgetClaim's status."""

from __future__ import annotations

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
from privatekube.resources.wire import common, reader
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader


def from_wire(document: Reader) -> Response:
    """Read the answer to one request."""
    return Response(
        identifier=document.text("identifier", ""),
        state=reader.member(ResponseState, document, "state"),
        refusal=None if (text := document.optional_text("error")) is None else Refusal.parse(text),
        detail=_detail(document),
    )


def _detail(document: Reader) -> Detail | None:
    if "allocateResponse" in document:
        inner = document.child("allocateResponse")
        allocations = {
            block_id: Allocation(common.read_budget(fields, "acquired"), common.read_budget(fields, "reserved"))
            for block_id, fields in inner.entries("budgets").items()
        }
        return AllocateResponse(allocations, inner.whole("startTime"), inner.whole("finishTime"))
    if "consumeResponse" in document:
        return ConsumeResponse(_settlements(document, "consumeResponse"))
    if "releaseResponse" in document:
        return ReleaseResponse(_settlements(document, "releaseResponse"))
    if "registerResponse" in document:
        return RegisterResponse(document.child("registerResponse").text("step"))
    return None


def _settlements(document: Reader, name: str) -> dict[str, Settlement]:
    return {
        block_id: Settlement(budget=common.read_budget(fields, "budget"), error=fields.optional_text("error"))
        for block_id, fields in document.entries(name).items()
    }


def to_wire(response: Response) -> Json:
    """Return the answer to one request as JSON."""
    error = None if response.refusal is None else str(response.refusal)
    wire = common.present({"identifier": response.identifier, "state": str(response.state), "error": error})
    detail = response.detail
    if isinstance(detail, AllocateResponse):
        allocations = {
            block_id: common.present(
                {
                    "acquired": common.budget_to_wire(allocation.acquired),
                    "reserved": common.budget_to_wire(allocation.reserved),
                }
            )
            for block_id, allocation in sorted(detail.budgets.items())
        }
        times = {"startTime": detail.start_time_ms, "finishTime": detail.finish_time_ms}
        wire["allocateResponse"] = common.present({"budgets": allocations, **times})
    elif isinstance(detail, RegisterResponse):
        wire["registerResponse"] = {"step": detail.step}
    elif detail is not None:
        name = "consumeResponse" if isinstance(detail, ConsumeResponse) else "releaseResponse"
        wire[name] = {
            block_id: common.present({"budget": common.budget_to_wire(outcome.budget), "error": outcome.error})
            for block_id, outcome in sorted(detail.blocks.items())
        }
    return wire
