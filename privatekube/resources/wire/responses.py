"""The answers in a PrivacyBudgetClaim's status on the wire."""

from __future__ import annotations

from privatekube.resources.refusals import Refusal
from privatekube.resources.responses import (
    AllocateResponse,
    Allocation,
    ConsumeResponse,
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


def _detail(document: Reader) -> AllocateResponse | ConsumeResponse | ReleaseResponse | None:
    if "allocateResponse" in document:
        inner = document.child("allocateResponse")
        held = {
            key: Allocation(
                acquired=common.read_budget(each, "acquired"), reserved=common.read_budget(each, "reserved")
            )
            for key, each in inner.entries("budgets").items()
        }
        return AllocateResponse(held, inner.whole("startTime"), inner.whole("finishTime"))
    if "consumeResponse" in document:
        return ConsumeResponse(_settlements(document, "consumeResponse"))
    if "releaseResponse" in document:
        return ReleaseResponse(_settlements(document, "releaseResponse"))
    return None


def _settlements(document: Reader, name: str) -> dict[str, Settlement]:
    return {
        key: Settlement(budget=common.read_budget(each, "budget"), error=each.optional_text("error"))
        for key, each in document.entries(name).items()
    }


def to_wire(response: Response) -> Json:
    """The answer to one request as JSON."""
    error = None if response.refusal is None else str(response.refusal)
    wire = common.present({"identifier": response.identifier, "state": str(response.state), "error": error})
    detail = response.detail
    if isinstance(detail, AllocateResponse):
        held = {
            key: common.present(
                {"acquired": common.budget_to_wire(each.acquired), "reserved": common.budget_to_wire(each.reserved)}
            )
            for key, each in sorted(detail.budgets.items())
        }
        times = {"startTime": detail.start_time_ms, "finishTime": detail.finish_time_ms}
        wire["allocateResponse"] = common.present({"budgets": held, **times})
    elif detail is not None:
        name = "consumeResponse" if isinstance(detail, ConsumeResponse) else "releaseResponse"
        wire[name] = {
            key: common.present({"budget": common.budget_to_wire(each.budget), "error": each.error})
            for key, each in sorted(detail.blocks.items())
        }
    return wire
