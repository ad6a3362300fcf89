"""The wire form: JSON of `columbia.github.com/v1`, with PrivateKube's field names.

Absent, empty and zero values mean what they mean there: an empty budget is nothing, maxNumberOfBlocks 0 is all, timeout
0 is the scheduler's default. What cannot be read is refused with its path in the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import meta
from privatekube.resources.block import Budgets

Json = dict[str, Any]


class Reader:
    """A document and the path that led to it, for messages."""

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, Mapping):
            raise errors.InvalidInput(f"{path or 'document'}: {document!r} is no object; see the resource's fields")
        self._document, self.path = document, path

    def __contains__(self, name: str) -> bool:
        return self._document.get(name) is not None

    def of(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> Any:
        """The field as it is, or None."""
        return self._document.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """A string field.

        Raises:
            InvalidInput: missing where there is no default, or no string.
        """
        value = self._document.get(name, default)
        if not isinstance(value, str):
            raise errors.InvalidInput(f"{self.of(name)}: {value!r} must be a string; give it one")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string field, or None where it is absent or empty."""
        return self.text(name, "") or None if name in self else None

    def whole(self, name: str) -> int | None:
        """An integer field, or None where it is absent.

        Raises:
            InvalidInput: no integer.
        """
        value = self._document.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise errors.InvalidInput(f"{self.of(name)}: {value!r} must be an integer; give it one")

    def child(self, name: str) -> Reader:
        """An object field; empty where it is absent."""
        return Reader(self._document.get(name) or {}, self.of(name))

    def children(self, name: str) -> list[Reader]:
        """The objects of a list field; none where it is absent.

        Raises:
            InvalidInput: no list.
        """
        listed = self._document.get(name) or []
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise errors.InvalidInput(f"{self.of(name)}: {listed!r} must be a list; give it one")
        return [Reader(each, f"{self.of(name)}[{index}]") for index, each in enumerate(listed)]

    def entries(self, name: str) -> dict[str, Reader]:
        """The objects of a map field, by key."""
        inner = self._document.get(name) or {}
        if not isinstance(inner, Mapping):
            raise errors.InvalidInput(f"{self.of(name)}: {inner!r} must be an object; see the resource's fields")
        return {str(key): Reader(value or {}, f"{self.of(name)}[{key}]") for key, value in inner.items()}

    def budget(self, name: str) -> PrivacyBudget | None:
        """A budget field; None where it is absent or empty."""
        return budget_from_wire(self._document.get(name), self.of(name))

    def budgets(self, name: str) -> dict[str, PrivacyBudget]:
        """A map of budgets; empty ones are left out."""
        read = {key: budget_from_wire(each.document, each.path) for key, each in self.entries(name).items()}
        return {key: value for key, value in read.items() if value is not None}

    @property
    def document(self) -> Mapping[str, Any]:
        """The document itself."""
        return self._document


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
    given = set(fields.document)
    if given == {"epsDel"}:
        inner = fields.child("epsDel")
        return EpsilonDelta(_number(inner, "epsilon"), _number(inner, "delta"))
    if given == {"renyi"}:
        pairs = [(_number(each, "alpha"), _number(each, "epsilon")) for each in fields.children("renyi")]
        return RenyiCurve.from_pairs(pairs) if pairs else None
    raise errors.InvalidBudget(f"{path}: has {sorted(given)}; give either epsDel or renyi")


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
        annotations={key: str(value) for key, value in (document.raw("annotations") or {}).items()},
        labels={key: str(value) for key, value in (document.raw("labels") or {}).items()},
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
