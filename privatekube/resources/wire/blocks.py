"""The wire form of PrivateDataBlock."""

from __future__ import annotations

import functools

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds, meta, request_id
from privatekube.resources.block import (
    BlockSpec,
    BlockStatus,
    Dimension,
    FlowReleasing,
    Lock,
    LockState,
    PrivateDataBlock,
    ReleaseMode,
    ReturnPolicy,
)
from privatekube.resources.request_id import LockId
from privatekube.resources.wire import common, reader
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

KIND = "PrivateDataBlock"
_PENDING, _AVAILABLE, _LOCKED = "pendingBudget", "availableBudget", "lockedBudgetMap"
_ACQUIRED, _RESERVED, _COMMITTED = "acquiredBudgetMap", "reservedBudgetMap", "committedBudgetMap"
_PARTS = (_PENDING, _AVAILABLE, _ACQUIRED, _RESERVED, _COMMITTED, _LOCKED)
"""The fields of a status that say where the budget is; a status without any of them was lost, and is no status."""


def from_wire(document: object) -> PrivateDataBlock:
    """Read a block.

    Raises:
        InvalidInput: a field is missing or malformed; the message has its path.
    """
    whole = Reader(document, "")
    spec = whole.child("spec")
    initial = common.read_budget(spec, "initialBudget")
    if initial is not None:
        budget.require_amount("spec.initialBudget", initial)
    else:
        raise errors.InvalidInput("spec.initialBudget: missing; state the block's budget for its whole life")
    status = whole.child("status")
    return PrivateDataBlock(
        meta=common.meta_from_wire(whole.child("metadata")),
        spec=BlockSpec(
            initial_budget=initial,
            dataset=spec.text("dataset"),
            data_source=spec.text("dataSource", ""),
            dimensions=tuple(_dimension(fields) for fields in spec.children("dimensions")),
            release_mode=reader.member(ReleaseMode, spec, "releaseMode", ReleaseMode.BASE),
            budget_return_policy=reader.member(ReturnPolicy, spec, "budgetReturnPolicy", ReturnPolicy.TO_PENDING),
            flow_releasing=_flow(spec.child("flowReleasingOption")) if "flowReleasingOption" in spec else None,
        ),
        status=_status(status, initial) if any(status.raw(name) for name in _PARTS) else None,
    )


def to_wire(block: PrivateDataBlock) -> Json:
    """Return a block as JSON."""
    spec = block.spec
    wire: Json = {
        "apiVersion": meta.API_VERSION,
        "kind": KIND,
        "metadata": common.meta_to_wire(block.meta),
        "spec": common.present(
            {
                "initialBudget": common.budget_to_wire(spec.initial_budget),
                "dataset": spec.dataset,
                "dataSource": spec.data_source,
                "dimensions": [_dimension_to_wire(dimension) for dimension in spec.dimensions],
                "releaseMode": str(spec.release_mode),
                "budgetReturnPolicy": str(spec.budget_return_policy),
                "flowReleasingOption": _flow_to_wire(spec.flow_releasing),
            }
        ),
    }
    if block.status is not None:
        wire["status"] = _status_to_wire(block.status)
    return wire


def _dimension(document: Reader) -> Dimension:
    try:
        return _known_dimension(
            document.text("attribute"), document.optional_text("numericValue"), document.optional_text("stringValue")
        )
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{document.path}: {error}") from error


@functools.lru_cache(maxsize=65_536)
def _known_dimension(attribute: str, numeric_value: str | None, string_value: str | None) -> Dimension:
    """Return a dimension, one object for equal ones: thousands of blocks have the same days or users."""
    return Dimension(attribute, numeric_value, string_value)


def _dimension_to_wire(dimension: Dimension) -> Json:
    return common.present(
        {
            "attribute": dimension.attribute,
            "numericValue": dimension.numeric_value,
            "stringValue": dimension.string_value,
        }
    )


def _flow(document: Reader) -> FlowReleasing:
    return FlowReleasing(
        start_time_ms=document.count("startTime", most=bounds.LATEST_MS),
        end_time_ms=document.count("endTime", most=bounds.LATEST_MS),
        duration_ms=document.count("duration", most=bounds.LATEST_MS),
    )


def _flow_to_wire(flow: FlowReleasing | None) -> Json | None:
    if flow is None:
        return None
    return common.present({"startTime": flow.start_time_ms, "endTime": flow.end_time_ms, "duration": flow.duration_ms})


def _status(document: Reader, initial: PrivacyBudget) -> BlockStatus:
    zero = initial * 0.0
    return BlockStatus(
        pending=common.read_budget(document, _PENDING) or zero,
        available=common.read_budget(document, _AVAILABLE) or zero,
        acquired=common.read_budgets(document, _ACQUIRED),
        reserved=common.read_budgets(document, _RESERVED),
        committed=common.read_budgets(document, _COMMITTED),
        locks={_request_id(key, fields.path): _lock(fields) for key, fields in document.entries(_LOCKED).items()},
        last_release_ms=document.whole("lastBudgetReleaseTime"),
        number_of_data=document.whole("numberOfData"),
        conditions=common.conditions_from_wire(document.children("conditions")),
    )


def _status_to_wire(status: BlockStatus) -> Json:
    required = {
        _PENDING: common.budget_to_wire(status.pending),
        _AVAILABLE: common.budget_to_wire(status.available),
    }
    locks = sorted(((str(request), lock) for request, lock in status.locks.items()), key=lambda item: item[0])
    optional = common.present(
        {
            _ACQUIRED: common.budgets_to_wire(status.acquired),
            _RESERVED: common.budgets_to_wire(status.reserved),
            _COMMITTED: common.budgets_to_wire(status.committed),
            _LOCKED: {key: _lock_to_wire(lock) for key, lock in locks},
            "lastBudgetReleaseTime": status.last_release_ms,
            "numberOfData": status.number_of_data,
            "conditions": common.conditions_to_wire(status.conditions),
        }
    )
    return required | optional


def _request_id(text: str, path: str) -> LockId:
    try:
        return request_id.parse_lock_id(text)
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{path}: {error}") from error


def _lock(document: Reader) -> Lock:
    inner = document.child("budget")
    state = reader.member(LockState, document, "state")
    return Lock(
        state=state,
        acquired=common.read_budget(inner, "acquired"),
        reserved=common.read_budget(inner, "reserved"),
        owner=document.optional_text("owner"),
    )


def _lock_to_wire(lock: Lock) -> Json:
    held = {"acquired": common.budget_to_wire(lock.acquired), "reserved": common.budget_to_wire(lock.reserved)}
    return {"budget": common.present(held), "state": str(lock.state)} | common.present({"owner": lock.owner})
