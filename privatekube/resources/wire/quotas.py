"""The wire form of PrivacyBudgetQuota."""

from __future__ import annotations

import contextlib

from privatekube import errors
from privatekube.resources import meta, quota
from privatekube.resources.quota import Beyond, Period, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.wire import common, reader
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

KIND = "PrivacyBudgetQuota"
_FIELDS = frozenset(("dataset", "team", "share", "epsilon", "delta", "period", "beyond", "weight"))


def from_wire(document: object) -> PrivacyBudgetQuota:
    """Read a quota.

    Raises:
        InvalidInput: a field is unknown, missing or malformed; the message has its path.
    """
    whole = Reader(document, "")
    spec = whole.child("spec")
    unknown = sorted(set(spec.document) - _FIELDS)
    if unknown:
        raise errors.InvalidInput(f"spec: {unknown[0]} is unknown; use {', '.join(sorted(_FIELDS))}")
    delta = _number(spec, "delta")
    return PrivacyBudgetQuota(
        common.meta_from_wire(whole.child("metadata")),
        QuotaSpec(
            dataset=spec.text("dataset"),
            team=spec.optional_text("team"),
            share=_number(spec, "share"),
            epsilon=_number(spec, "epsilon"),
            delta=quota.DEFAULT_DELTA if delta is None else delta,
            period=reader.member(Period, spec, "period", Period.LIFETIME),
            weight=_number(spec, "weight"),
            beyond=reader.member(Beyond, spec, "beyond", Beyond.WAIT),
        ),
    )


def from_store(document: Json) -> PrivacyBudgetQuota:
    """Read a stored quota; one that cannot be read allows nothing in its namespace."""
    try:
        return from_wire(document)
    except errors.InvalidInput as error:
        stored = document["metadata"]
        identity = meta.ObjectMeta(str(stored["name"]), str(stored["namespace"]))
        return quota.closed(identity, f"cannot be read ({error})")


def to_wire(item: PrivacyBudgetQuota) -> Json:
    """Return a quota as JSON."""
    spec = item.spec
    fields: Json = {"dataset": spec.dataset, "team": spec.team, "share": spec.share, "epsilon": spec.epsilon}
    delta = None if spec.epsilon is None else spec.delta
    beyond = None if spec.beyond is Beyond.WAIT else str(spec.beyond)  # earlier versions do not know it
    return {
        "apiVersion": meta.API_VERSION,
        "kind": KIND,
        "metadata": common.meta_to_wire(item.meta),
        "spec": common.present(
            {**fields, "delta": delta, "period": str(spec.period), "beyond": beyond, "weight": spec.weight}
        ),
    }


def _number(document: Reader, name: str) -> float | None:
    value = document.raw(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    raise errors.InvalidInput(f"{document.path_of(name)}: {reader.shown(value)} must be a number; change it")
