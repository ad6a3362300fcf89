"""PrivacyBudgetClaim on the wire."""

from __future__ import annotations

from privatekube import errors
from privatekube.resources import codec, meta
from privatekube.resources.claim import (
    AllocateRequest,
    AllocateResponse,
    Allocation,
    BudgetDemand,
    ClaimSpec,
    ClaimStatus,
    Condition,
    ConsumeRequest,
    ConsumeResponse,
    PrivacyBudgetClaim,
    ReleaseRequest,
    ReleaseResponse,
    Request,
    Response,
    ResponseState,
    Settlement,
)
from privatekube.resources.codec import Json, Reader

KIND = "PrivacyBudgetClaim"


def from_wire(document: object) -> PrivacyBudgetClaim:
    """Read a claim.

    Raises:
        InvalidInput: what does not fit, with its path.
    """
    whole = Reader(document, "")
    spec, status = whole.child("spec"), whole.child("status")
    owners = tuple(dict(each.document) for each in spec.children("ownedBy"))
    return PrivacyBudgetClaim(
        meta=codec.meta_from_wire(whole.child("metadata")),
        spec=ClaimSpec(
            requests=tuple(_request(each) for each in spec.children("requests")),
            data_opened=spec.raw("dataOpened") is True,
            priority=spec.whole("priority"),
            owned_by=owners,
        ),
        status=ClaimStatus(
            acquired=status.budgets("acquiredBudgets"),
            reserved=status.budgets("reservedBudgets"),
            committed=status.budgets("committedBudgets"),
            responses=tuple(_response(each) for each in status.children("responses")),
            conditions=codec.conditions_from_wire(status.children("conditions")),
        ),
    )


def to_wire(claim: PrivacyBudgetClaim) -> Json:
    """A claim as JSON."""
    spec, status = claim.spec, claim.status
    return {
        "apiVersion": meta.API_VERSION,
        "kind": KIND,
        "metadata": codec.meta_to_wire(claim.meta),
        "spec": codec.present(
            {
                "requests": [_request_to_wire(each) for each in spec.requests],
                "dataOpened": spec.data_opened or None,
                "priority": spec.priority,
                "ownedBy": [dict(each) for each in spec.owned_by],
            }
        ),
        "status": codec.present(
            {
                "acquiredBudgets": codec.budgets_to_wire(status.acquired),
                "reservedBudgets": codec.budgets_to_wire(status.reserved),
                "committedBudgets": codec.budgets_to_wire(status.committed),
                "responses": [_response_to_wire(each) for each in status.responses],
                "conditions": codec.conditions_to_wire(status.conditions),
            }
        ),
    }


def condition_from_wire(document: object) -> Condition:
    """A condition on a block's dimension.

    Raises:
        InvalidInput: a field that is missing or unknown.
    """
    fields = Reader(document, "condition")
    unknown = set(fields.document) - {"attribute", "operation", "numericValue", "stringValue"}
    if unknown:
        raise errors.InvalidInput(f"condition: {sorted(unknown)} is unknown; use attribute, operation and a value")
    return _condition(fields)


def _condition(fields: Reader) -> Condition:
    return Condition(
        attribute=fields.text("attribute"),
        operation=fields.text("operation"),
        numeric_value=fields.optional_text("numericValue"),
        string_value=fields.optional_text("stringValue"),
    )


def _request(document: Reader) -> Request:
    actions = [name for name in _ACTIONS if name in document]
    if len(actions) != 1:
        raise errors.InvalidInput(f"{document.path}: has {actions or 'no request'}; give exactly one of {_ACTIONS}")
    inner = document.child(actions[0])
    identifier = document.text("identifier", "")
    match actions[0]:
        case "allocateRequest":
            return Request(identifier, _allocate(inner))
        case "consumeRequest":
            return Request(identifier, ConsumeRequest(inner.budgets("consume"), inner.optional_text("policy")))
        case _:
            return Request(identifier, ReleaseRequest(inner.budgets("release"), inner.optional_text("policy")))


_ACTIONS = ("allocateRequest", "consumeRequest", "releaseRequest")


def _allocate(document: Reader) -> AllocateRequest:
    return AllocateRequest(
        dataset=document.text("dataset"),
        expected_budget=_demand(document.child("expectedBudget")),
        min_budget=_demand(document.child("minBudget")) if document.raw("minBudget") else None,
        conditions=tuple(_condition(each) for each in document.children("conditions")),
        min_blocks=document.whole("minNumberOfBlocks") or None,
        max_blocks=document.whole("maxNumberOfBlocks") or None,
        timeout_ms=document.whole("timeout") or None,
    )


def _demand(document: Reader) -> BudgetDemand:
    return BudgetDemand(
        constant=document.budget("constant"),
        by_block=document.budgets("budgetMap") or None,
        function=document.optional_text("function"),
    )


def _request_to_wire(request: Request) -> Json:
    action = request.action
    wire: Json = {"identifier": request.identifier}
    if isinstance(action, AllocateRequest):
        wire["allocateRequest"] = _allocate_to_wire(action)
    elif isinstance(action, ConsumeRequest):
        wire["consumeRequest"] = codec.present({"policy": action.policy}) | {
            "consume": codec.budgets_to_wire(action.consume)
        }
    else:
        wire["releaseRequest"] = codec.present({"policy": action.policy}) | {
            "release": codec.budgets_to_wire(action.release)
        }
    return wire


def _allocate_to_wire(request: AllocateRequest) -> Json:
    conditions = [
        codec.present(
            {
                "attribute": each.attribute,
                "operation": each.operation,
                "numericValue": each.numeric_value,
                "stringValue": each.string_value,
            }
        )
        for each in request.conditions
    ]
    return codec.present(
        {
            "dataset": request.dataset,
            "conditions": conditions,
            "minNumberOfBlocks": request.min_blocks,
            "maxNumberOfBlocks": request.max_blocks,
            "expectedBudget": _demand_to_wire(request.expected_budget),
            "minBudget": None if request.min_budget is None else _demand_to_wire(request.min_budget),
            "timeout": request.timeout_ms,
        }
    )


def _demand_to_wire(demand: BudgetDemand) -> Json:
    return codec.present(
        {
            "constant": codec.budget_to_wire(demand.constant),
            "budgetMap": codec.budgets_to_wire(demand.by_block or {}),
            "function": demand.function,
        }
    )


def _response(document: Reader) -> Response:
    return Response(
        identifier=document.text("identifier", ""),
        state=ResponseState(document.text("state")),
        error=document.optional_text("error"),
        detail=_detail(document),
    )


def _detail(document: Reader) -> AllocateResponse | ConsumeResponse | ReleaseResponse | None:
    if "allocateResponse" in document:
        inner = document.child("allocateResponse")
        held = {
            key: Allocation(acquired=each.budget("acquired"), reserved=each.budget("reserved"))
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
        key: Settlement(budget=each.budget("budget"), error=each.optional_text("error"))
        for key, each in document.entries(name).items()
    }


def _response_to_wire(response: Response) -> Json:
    wire = codec.present({"identifier": response.identifier, "state": str(response.state), "error": response.error})
    detail = response.detail
    if isinstance(detail, AllocateResponse):
        held = {
            key: codec.present(
                {"acquired": codec.budget_to_wire(each.acquired), "reserved": codec.budget_to_wire(each.reserved)}
            )
            for key, each in sorted(detail.budgets.items())
        }
        times = {"startTime": detail.start_time_ms, "finishTime": detail.finish_time_ms}
        wire["allocateResponse"] = codec.present({"budgets": held, **times})
    elif detail is not None:
        name = "consumeResponse" if isinstance(detail, ConsumeResponse) else "releaseResponse"
        wire[name] = {
            key: codec.present({"budget": codec.budget_to_wire(each.budget), "error": each.error})
            for key, each in sorted(detail.blocks.items())
        }
    return wire
