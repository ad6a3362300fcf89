"""The wire form of PrivacyBudgetClaim."""

from __future__ import annotations

from collections.abc import Callable

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds, deadlines, meta
from privatekube.resources.block import Budgets
from privatekube.resources.claim import ClaimSpec, ClaimStatus, OverdueSettlement, PrivacyBudgetClaim, SettleAfter
from privatekube.resources.requests import (
    AllocateRequest,
    BlockCondition,
    BudgetDemand,
    ConsumeRequest,
    MalformedRequest,
    RegisterRequest,
    ReleaseRequest,
    Request,
)
from privatekube.resources.sealing_key import SealingKey
from privatekube.resources.signature import Signature
from privatekube.resources.statement import SignedStatement
from privatekube.resources.wire import block_groups, common, responses
from privatekube.resources.wire.block_groups import BlockGroups
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

KIND = "PrivacyBudgetClaim"
_OUTCOMES = {"consumed": True, "released": False}
"""Whether the budget of a settled claim was consumed, by the name of the outcome."""


def from_wire(document: object) -> PrivacyBudgetClaim:
    """Read a new claim.

    Raises:
        InvalidInput: a field is missing or malformed; the message has its path.
    """
    claim = _claim(document, _request)
    bounds.require_size("spec.requests", claim.spec.requests, bounds.REQUESTS, "requests")
    return claim


def from_store(document: object) -> PrivacyBudgetClaim:
    """Read a stored claim; a request that cannot be read becomes a MalformedRequest, to be answered with its fault.

    Raises:
        InvalidInput: another field is missing or malformed; the message has its path.
    """
    return _claim(document, _request_or_fault)


def _claim(document: object, read_request: Callable[[Reader], Request]) -> PrivacyBudgetClaim:
    whole = Reader(document, "")
    spec, status = whole.child("spec"), whole.child("status")
    groups = BlockGroups.from_wire(status)
    return PrivacyBudgetClaim(
        meta=common.meta_from_wire(whole.child("metadata")),
        spec=ClaimSpec(
            requests=tuple(read_request(fields) for fields in spec.children("requests")),
            data_opened=spec.raw("dataOpened") is True,
            priority=spec.whole("priority"),
            owned_by=tuple(dict(fields.document) for fields in spec.children("ownedBy")),
            settle_after=_settle_after(spec.child("settleAfter")) if "settleAfter" in spec else None,
            card=spec.optional_text("privacyCard"),
            opens_releases=spec.raw("openReleases") is True,
            requester=common.read_requester(spec),
            deadline_ms=_deadline(spec),
        ),
        status=ClaimStatus(
            acquired=_held(status, "acquiredBudgets", groups),
            reserved=_held(status, "reservedBudgets", groups),
            committed=_held(status, "committedBudgets", groups),
            responses=tuple(responses.from_wire(fields, groups) for fields in status.children("responses")),
            conditions=common.conditions_from_wire(status.children("conditions")),
            statement=_statement(status.child("statement")) if "statement" in status else None,
            settlement=_settlement(status.child("settlement"), groups) if "settlement" in status else None,
            sealing=_sealing(status.child("sealing")) if "sealing" in status else None,
        ),
    )


def to_wire(claim: PrivacyBudgetClaim) -> Json:
    """Return a claim as JSON."""
    spec, status = claim.spec, claim.status
    groups = responses.groups_of(status)
    return {
        "apiVersion": meta.API_VERSION,
        "kind": KIND,
        "metadata": common.meta_to_wire(claim.meta),
        "spec": common.present(
            {
                "requests": [request_to_wire(request) for request in spec.requests],
                "dataOpened": spec.data_opened or None,
                "priority": spec.priority,
                "ownedBy": [dict(reference) for reference in spec.owned_by],
                "settleAfter": _settle_after_to_wire(spec.settle_after),
                "privacyCard": spec.card,
                "openReleases": spec.opens_releases or None,
                **common.requester_to_wire(spec.requester),
                "deadline": None if spec.deadline_ms is None else meta.format_time(spec.deadline_ms),
            }
        ),
        "status": common.present(
            {
                **groups.to_wire(),
                "acquiredBudgets": common.budgets_to_wire(groups.by_group(status.acquired)),
                "reservedBudgets": common.budgets_to_wire(groups.by_group(status.reserved)),
                "committedBudgets": common.budgets_to_wire(groups.by_group(status.committed)),
                "responses": [responses.to_wire(response, groups) for response in status.responses],
                "conditions": common.conditions_to_wire(status.conditions),
                "statement": _statement_to_wire(status.statement),
                "settlement": _settlement_to_wire(status.settlement, groups),
                "sealing": _sealing_to_wire(status.sealing),
            }
        ),
    }


def _deadline(spec: Reader) -> int | None:
    stated = spec.raw("deadline")
    return None if stated is None else deadlines.parse_stored(stated)


def _settle_after(document: Reader) -> SettleAfter:
    seconds, at_ms = document.whole("seconds"), document.whole("time")
    if seconds is None or at_ms is None:
        raise errors.InvalidInput("spec.settleAfter: needs seconds, and a time in unix milliseconds; give both")
    return SettleAfter(seconds, at_ms)


def _settle_after_to_wire(after: SettleAfter | None) -> Json | None:
    return None if after is None else {"seconds": after.seconds, "time": after.at_ms}


def _statement(document: Reader) -> SignedStatement:
    signature = Signature(document.text("key"), document.text("signature"))
    return SignedStatement(document.text("privacyCard"), document.text("text"), signature)


def _statement_to_wire(signed: SignedStatement | None) -> Json | None:
    if signed is None:
        return None
    signature = signed.signature
    return {"privacyCard": signed.card, "text": signed.text, "key": signature.key, "signature": signature.value}


def _held(document: Reader, name: str, groups: BlockGroups) -> dict[str, PrivacyBudget]:
    """Return a map of what is held or was charged, by block id."""
    return groups.held_by_block(common.read_budgets(document, name), document.path_of(name))


def _named(document: Reader, name: str) -> dict[str, PrivacyBudget]:
    """Return a map of amounts in a request, by block id."""
    groups = BlockGroups.from_wire(document)
    amounts = groups.by_block(common.read_budgets(document, name), document.path_of(name))
    bounds.require_size(document.path_of(name), amounts, bounds.NAMED_BLOCKS, "blocks")
    return amounts


def _named_to_wire(name: str, amounts: Budgets) -> Json:
    """Return a map of amounts as fields of a request."""
    are_many = block_groups.are_many(amounts.items(), most_bytes=block_groups.MOST_IN_REQUEST)
    groups = BlockGroups.of([amounts]) if are_many else BlockGroups()
    return {name: common.budgets_to_wire(groups.by_group(amounts)), **groups.to_wire()}


def _settlement(document: Reader, groups: BlockGroups) -> OverdueSettlement:
    time_ms, outcome = document.whole("time"), document.text("outcome")
    if time_ms is None or outcome not in _OUTCOMES:
        raise errors.InvalidInput("status.settlement: needs a time, and the outcome consumed or released; give both")
    return OverdueSettlement(time_ms, _OUTCOMES[outcome], _held(document, "budgets", groups))


def _settlement_to_wire(settlement: OverdueSettlement | None, groups: BlockGroups) -> Json | None:
    if settlement is None:
        return None
    (outcome,) = (name for name, is_consumed in _OUTCOMES.items() if is_consumed is settlement.is_consumed)
    budgets = common.budgets_to_wire(groups.by_group(settlement.budgets))
    return {"time": settlement.time_ms, "outcome": outcome, "budgets": budgets}


def _sealing(document: Reader) -> SealingKey:
    return SealingKey(document.text("publicKey"), document.optional_text("privateKey"))


def _sealing_to_wire(key: SealingKey | None) -> Json | None:
    return None if key is None else common.present({"publicKey": key.public, "privateKey": key.private})


def condition_from_wire(document: object) -> BlockCondition:
    """Read a condition on a block's dimension.

    Raises:
        InvalidInput: a field is missing or unknown.
    """
    fields = Reader(document, "condition")
    unknown = set(fields.document) - {"attribute", "operation", "numericValue", "stringValue"}
    if unknown:
        raise errors.InvalidInput(f"condition: {sorted(unknown)} is unknown; use attribute, operation and a value")
    return _condition(fields)


def _condition(fields: Reader) -> BlockCondition:
    return BlockCondition(
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
            consume, policy = _named(inner, "consume"), inner.optional_text("policy")
            return Request(identifier, ConsumeRequest(consume, policy, inner.text_list("mechanisms")))
        case "registerRequest":
            return Request(identifier, _register(inner))
        case _:
            return Request(identifier, ReleaseRequest(_named(inner, "release"), inner.optional_text("policy")))


def _request_or_fault(document: Reader) -> Request:
    try:
        return _request(document)
    except errors.InvalidInput as error:
        identifier = document.raw("identifier")
        return Request(str(identifier or "")[: bounds.NAME], MalformedRequest(dict(document.document), str(error)))


_ACTIONS = ("allocateRequest", "consumeRequest", "releaseRequest", "registerRequest")


def _allocate(document: Reader) -> AllocateRequest:
    return AllocateRequest(
        dataset=document.text("dataset"),
        expected_budget=_demand(document.child("expectedBudget")),
        min_budget=_demand(document.child("minBudget")) if document.raw("minBudget") else None,
        conditions=tuple(_condition(fields) for fields in document.children("conditions")),
        min_blocks=document.count("minNumberOfBlocks", least=-1),
        max_blocks=document.count("maxNumberOfBlocks"),
        timeout_ms=document.count("timeout", most=bounds.LONGEST_MS),
    )


def _register(document: Reader) -> RegisterRequest:
    return RegisterRequest(
        step=document.text("step"),
        outputs=document.text_list("outputs"),
        inputs=document.text_list("inputs"),
        event=document.optional_text("event"),
    )


def _demand(document: Reader) -> BudgetDemand:
    return BudgetDemand(
        constant=common.read_budget(document, "constant"),
        by_block=_named(document, "budgetMap") or None,
        function=document.optional_text("function"),
    )


def request_to_wire(request: Request) -> Json:
    """Return a request of a claim as JSON."""
    action = request.action
    if isinstance(action, MalformedRequest):
        return dict(action.document)
    wire: Json = {"identifier": request.identifier}
    if isinstance(action, AllocateRequest):
        wire["allocateRequest"] = _allocate_to_wire(action)
    elif isinstance(action, ConsumeRequest):
        options = {"policy": action.policy, "mechanisms": list(action.mechanisms)}
        wire["consumeRequest"] = common.present(options) | _named_to_wire("consume", action.consume)
    elif isinstance(action, RegisterRequest):
        digests = {"outputs": list(action.outputs), "inputs": list(action.inputs)}
        wire["registerRequest"] = common.present({"step": action.step, **digests, "event": action.event})
    else:
        wire["releaseRequest"] = common.present({"policy": action.policy}) | _named_to_wire("release", action.release)
    return wire


def _allocate_to_wire(request: AllocateRequest) -> Json:
    conditions = [
        common.present(
            {
                "attribute": condition.attribute,
                "operation": condition.operation,
                "numericValue": condition.numeric_value,
                "stringValue": condition.string_value,
            }
        )
        for condition in request.conditions
    ]
    return common.present(
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
    return common.present(
        {
            "constant": common.budget_to_wire(demand.constant),
            **_named_to_wire("budgetMap", demand.by_block or {}),
            "function": demand.function,
        }
    )
