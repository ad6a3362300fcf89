"""The wire form: JSON of `columbia.github.com/v1`, with PrivateKube's field names.

Absent, empty and zero values mean what they mean there: an empty budget is nothing, maxNumberOfBlocks 0 is all, timeout
0 is the scheduler's default. What cannot be read is refused with its path in the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import meta
from privatekube.resources.block import Budgets
from privatekube.resources.wire.reader import Reader

Json = dict[str, Any]


def budget_to_wire(budget: PrivacyBudget | None) -> Json:
    """A budget as JSON; nothing is the empty object.

    >>> budget_to_wire(EpsilonDelta(1.0, 1e-9))
    {'epsDel': {'epsilon': 1.0, 'delta': 1e-09}}
    """
    if budget is None:
        return {}
    if isinstance(budget, EpsilonDelta):
        return {"epsDel": {"epsilon": budget.epsilon, "delta": budget.delta}}
    return {"renyi": [{"alpha": alpha, "epsilon": epsilon} for alpha, epsilon in budget.as_pairs()]}


def budget_from_wire(document: object, path: str = "budget") -> PrivacyBudget | None:
    """A budget from JSON; None for the empty object.

    Raises:
        InvalidBudget: both types at once, an unknown field, or a number that is none, with the path.
    """
    if document is None or document == {}:
        return None
    fields = Reader(document, path)
    given = sorted(map(str, fields.document))
    if given not in (["epsDel"], ["renyi"]):
        raise errors.InvalidBudget(f"{path}: has {given}; give either epsDel or renyi")
    try:
        if given == ["epsDel"]:
            inner = fields.child("epsDel")
            return EpsilonDelta(_number(inner, "epsilon"), _number(inner, "delta"))
        pairs = [(_number(each, "alpha"), _number(each, "epsilon")) for each in fields.children("renyi")]
        return RenyiCurve.from_pairs(pairs) if pairs else None
    except errors.InvalidBudget as error:
        if str(error).startswith(path):
            raise
        raise errors.InvalidBudget(f"{path}: {error}") from error


def read_budget(document: Reader, name: str) -> PrivacyBudget | None:
    """A budget field; None where it is absent or empty."""
    return budget_from_wire(document.raw(name), document.of(name))


def read_budgets(document: Reader, name: str) -> dict[str, PrivacyBudget]:
    """A map of budgets; empty ones are left out."""
    read = {key: budget_from_wire(each.document, each.path) for key, each in document.entries(name).items()}
    return {key: value for key, value in read.items() if value is not None}


def budgets_to_wire(budgets: Budgets) -> Json:
    """A map of budgets as JSON."""
    return {key: budget_to_wire(each) for key, each in sorted(budgets.items())}


def meta_from_wire(document: Reader) -> meta.ObjectMeta:
    """Identity of an object."""
    known = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "annotations", "labels"}
    created = document.raw("creationTimestamp")
    return meta.ObjectMeta(
        name=document.text("name"),
        namespace=document.text("namespace", "default"),
        uid=document.text("uid", ""),
        resource_version=document.text("resourceVersion", ""),
        generation=document.whole("generation") or 1,
        creation_time_ms=None if created is None else meta.parse_time(str(created), document.of("creationTimestamp")),
        annotations=document.texts("annotations"),
        labels=document.texts("labels"),
        other={key: value for key, value in document.document.items() if key not in known},
    )


def meta_to_wire(identity: meta.ObjectMeta) -> Json:
    """Identity as JSON; empty fields are left out."""
    wire: Json = {"name": identity.name, "namespace": identity.namespace, "uid": identity.uid}
    wire |= {"resourceVersion": identity.resource_version, "generation": identity.generation}
    if identity.creation_time_ms is not None:
        wire["creationTimestamp"] = meta.format_time(identity.creation_time_ms)
    wire |= {"annotations": dict(identity.annotations), "labels": dict(identity.labels), **identity.other}
    return present(wire)


def conditions_from_wire(documents: list[Reader]) -> tuple[meta.Condition, ...]:
    """status.conditions."""
    return tuple(
        meta.Condition(
            type=each.text("type"),
            status=each.text("status") == "True",
            reason=each.text("reason", ""),
            message=each.text("message", ""),
            last_transition_ms=meta.parse_time(each.text("lastTransitionTime"), each.of("lastTransitionTime")),
            observed_generation=each.whole("observedGeneration") or 1,
        )
        for each in documents
    )


def conditions_to_wire(conditions: Sequence[meta.Condition]) -> list[Json]:
    """status.conditions as JSON."""
    return [
        {
            "type": each.type,
            "status": "True" if each.status else "False",
            "reason": each.reason,
            "message": each.message,
            "lastTransitionTime": meta.format_time(each.last_transition_ms),
            "observedGeneration": each.observed_generation,
        }
        for each in conditions
    ]


def present(document: Json) -> Json:
    """`document` without fields that say nothing: None, empty text, empty lists and objects."""
    return {name: value for name, value in document.items() if value is not None and value not in ("", [], {})}


def _number(document: Reader, name: str) -> float:
    value = document.raw(name)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise errors.InvalidBudget(f"{document.of(name)}: {value!r} must be a number; give it one")
    return float(value)
