"""The common parts of the wire form: JSON of `columbia.github.com/v1`, with PrivateKube's field names.

Absent, empty and zero values have PrivateKube's meaning: an empty budget is no budget, maxNumberOfBlocks 0 is all,
timeout 0 is the scheduler's default. A document that cannot be read is refused with the path of the fault.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import bounds, meta
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.block import Budgets
from privatekube.resources.requester import Requester
from privatekube.resources.wire import reader
from privatekube.resources.wire.reader import Reader

Json = dict[str, Any]
_PAIR = operator.itemgetter("alpha", "epsilon")
_READ = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "annotations", "labels"}
_NOT_OTHER = _READ | {"managedFields"}
"""An API server keeps the managedFields of an object itself; they are a quarter of a block."""


def budget_to_wire(budget: PrivacyBudget | None) -> Json:
    """Return a budget as JSON; None is the empty object.

    >>> budget_to_wire(EpsilonDelta(1.0, 1e-9))
    {'epsDel': {'epsilon': 1.0, 'delta': 1e-09}}
    """
    if budget is None:
        return {}
    if isinstance(budget, EpsilonDelta):
        return {"epsDel": {"epsilon": budget.epsilon, "delta": budget.delta}}
    return {"renyi": [{"alpha": alpha, "epsilon": epsilon} for alpha, epsilon in budget.as_pairs()]}


def budget_from_wire(document: object, path: str = "budget") -> PrivacyBudget | None:
    """Return the budget in a JSON document; None for the empty object.

    Raises:
        InvalidBudget: it has both types, an unknown field, or a malformed number; the message has the path.
    """
    return None if document is None or document == {} else _budget(Reader(document, path))


def _budget(fields: Reader) -> PrivacyBudget | None:
    given, path = sorted(map(str, fields.document)), fields.path
    if given not in (["epsDel"], ["renyi"]):
        raise errors.InvalidBudget(f"{path}: has {given}; give either epsDel or renyi")
    try:
        if given == ["epsDel"]:
            inner = fields.child("epsDel")
            return EpsilonDelta(_number(inner, "epsilon"), _number(inner, "delta"))
        return _curve_as_written(fields.raw("renyi")) or _curve(fields)
    except errors.InvalidBudget as error:
        if str(error).startswith(path):
            raise
        raise errors.InvalidBudget(f"{path}: {error}") from error


def _curve_as_written(rows: Any) -> RenyiCurve | None:
    """Return a curve as `budget_to_wire` writes it, read quickly; None where `_curve` has to look closer."""
    try:
        orders, epsilons = zip(*map(_PAIR, rows), strict=True)
        are_plain = {*map(type, orders), *map(type, epsilons)} <= {float, int} and len(orders) <= bounds.ORDERS
        is_signed = -1.0 in map(math.copysign, itertools.repeat(1.0), epsilons)  # -0.0 equals 0.0, but not in a digest
        return (RenyiCurve if is_signed else _shared_curve)(orders, epsilons) if are_plain else None
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


@functools.lru_cache(maxsize=8192)
def _shared_curve(orders: tuple[float, ...], epsilons: tuple[float, ...]) -> RenyiCurve:
    """Return one object for all equal curves, such as what a claim takes of each of its blocks: it saves memory."""
    return RenyiCurve(orders, epsilons)


def _curve(fields: Reader) -> RenyiCurve | None:
    rows = fields.children("renyi")
    if len(rows) > bounds.ORDERS:
        raise errors.InvalidBudget(f"{fields.path}: {len(rows)} orders must be at most {bounds.ORDERS}; name fewer")
    return RenyiCurve.from_pairs((_number(row, "alpha"), _number(row, "epsilon")) for row in rows) if rows else None


def read_budget(document: Reader, name: str) -> PrivacyBudget | None:
    """Return the budget in a field; None where it is absent or empty."""
    return budget_from_wire(document.raw(name), document.path_of(name))


def read_budgets(document: Reader, name: str) -> dict[str, PrivacyBudget]:
    """Return the map of budgets in a field, without empty budgets."""
    budgets = {key: _budget(fields) for key, fields in document.entries(name).items() if fields.document}
    return {key: budget for key, budget in budgets.items() if budget is not None}


def budgets_to_wire(budgets: Budgets) -> Json:
    """Return a map of budgets as JSON."""
    return {key: budget_to_wire(budget) for key, budget in sorted(budgets.items())}


def meta_from_wire(document: Reader) -> meta.ObjectMeta:
    """Return the identity of an object."""
    created = document.raw("creationTimestamp")
    return meta.ObjectMeta(
        name=document.text("name"),
        namespace=document.text("namespace", "default"),
        uid=document.text("uid", ""),
        resource_version=document.text("resourceVersion", ""),
        generation=document.whole("generation") or 1,
        creation_time_ms=None
        if created is None
        else meta.parse_time(str(created), document.path_of("creationTimestamp")),
        annotations=document.texts("annotations"),
        labels=document.texts("labels"),
        other={key: value for key, value in document.document.items() if key not in _NOT_OTHER},
    )


def meta_to_wire(identity: meta.ObjectMeta) -> Json:
    """Return an identity as JSON, without empty fields."""
    wire: Json = {"name": identity.name, "namespace": identity.namespace, "uid": identity.uid}
    wire |= {"resourceVersion": identity.resource_version, "generation": identity.generation}
    if identity.creation_time_ms is not None:
        wire["creationTimestamp"] = meta.format_time(identity.creation_time_ms)
    wire |= {"annotations": dict(identity.annotations), "labels": dict(identity.labels), **identity.other}
    return present(wire)


def read_requester(document: Reader) -> Requester:
    """Return who requests budget, and why, in the fields of a document."""
    return Requester(
        user=document.optional_text("requestedBy"),
        team=document.optional_text("team"),
        purpose=document.optional_text("purpose"),
    )


def requester_to_wire(requester: Requester) -> Json:
    """Return who requests budget, and why, as fields of a document."""
    return present({"requestedBy": requester.user, "team": requester.team, "purpose": requester.purpose})


def read_approval(document: Reader) -> ApprovalRecord:
    """Return who approved a request, in the fields of a document."""
    return ApprovalRecord(document.text("approver"), document.whole("time") or 0, document.optional_text("reason"))


def approval_to_wire(record: ApprovalRecord | None) -> Json | None:
    """Return who approved a request as JSON; None if nobody did."""
    if record is None:
        return None
    return present({"approver": record.approver, "time": record.time_ms, "reason": record.reason})


def conditions_from_wire(documents: list[Reader]) -> tuple[meta.Condition, ...]:
    """Return the status.conditions of an object."""
    return tuple(
        meta.Condition(
            type=fields.text("type"),
            status=fields.text("status") == "True",
            reason=fields.text("reason", ""),
            message=fields.text("message", ""),
            last_transition_ms=meta.parse_time(fields.text("lastTransitionTime"), fields.path_of("lastTransitionTime")),
            observed_generation=fields.whole("observedGeneration") or 1,
        )
        for fields in documents
    )


def conditions_to_wire(conditions: Sequence[meta.Condition]) -> list[Json]:
    """Return status.conditions as JSON."""
    return [
        {
            "type": condition.type,
            "status": "True" if condition.status else "False",
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": meta.format_time(condition.last_transition_ms),
            "observedGeneration": condition.observed_generation,
        }
        for condition in conditions
    ]


def present(document: Json) -> Json:
    """Return `document` without its empty fields: None, empty strings, lists and objects."""
    return {name: value for name, value in document.items() if value is not None and value not in ("", [], {})}


def _number(document: Reader, name: str) -> float:
    value = document.raw(name)
    if value is None:
        return 0.0
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise errors.InvalidBudget(f"{document.path_of(name)}: {reader.shown(value)} must be a number; change it")
