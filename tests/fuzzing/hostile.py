"""Hypothesis strategies for what an adversary with a role of the manifests writes: new objects, and edits of them.

Values are likelier to be of the kinds that once stopped the control plane than anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from privatekube.resources import bounds, meta
from privatekube.resources.wire import blocks, claims
from tests import builders
from tests.fuzzing import budgets, honest
from tests.fuzzing.budgets import NOT_OBJECTS, Json, Strategy, fields, mostly
from tests.fuzzing.requests import (
    ALLOCATES,
    LONG,
    NUMBERS_AS_TEXT,
    TOO_LONG,
    attributes,
    counts,
    decimals,
    repeated_requests,
    request,
    request_list,
    texts,
    times,
)

_ANY_NAME = "h"


@dataclass(frozen=True, slots=True)
class Creation:
    """A new block or claim, as its author wrote it."""

    document: Json

    @property
    def is_block(self) -> bool:
        """Whether it is a block."""
        return bool(self.document["kind"] == blocks.KIND)


@dataclass(frozen=True, slots=True)
class Edit:
    """A JSON Patch of a claim.

    Args:
        age: how many claims were created after it; see `aged`.
        operations: of RFC 6902.
        of_honest: whether an honest claim is meant, which belongs to another user.
        of_status: whether the status is patched, which only the control plane may.
    """

    age: int
    operations: Sequence[Json]
    of_honest: bool = False
    of_status: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """The deletion of the block after which `age` others were created; see `aged`."""

    age: int


Attack = Creation | Edit | Removal


def aged(ids: Sequence[str], age: int) -> str:
    """Return the id after which `age` others were created; where there are fewer, it starts again at the last."""
    return ids[-1 - age % len(ids)]


def attacks(count: int) -> st.SearchStrategy[list[Attack]]:
    """Return a strategy for `count` attacks, one after another.

    The simplest one, with which Hypothesis begins, already has all kinds of attacks.
    """
    kinds = [st.one_of(_ATTACKS[number % len(_ATTACKS)], *_ATTACKS) for number in range(count)]
    return st.tuples(*kinds).map(list).map(_numbered)


def _numbered(attacks: list[Attack]) -> list[Attack]:
    """Return the attacks with another number in each name that has none."""
    for number, attack in enumerate(attacks):
        if isinstance(attack, Creation) and attack.document["metadata"]["name"] == _ANY_NAME:
            attack.document["metadata"]["name"] = f"{_ANY_NAME}-{number}"
    return attacks


_prefix = "privacy.columbia.github.com"
_annotation_names = st.sampled_from(
    [f"{_prefix}/{name}" for name in ("created", "controller-epoch", "created-by", "anything")]
    + [meta.CONTENT_DIGEST, meta.DATA_IDENTITY, "example.org/x", "not a name"]
)
_annotations = mostly(
    st.dictionaries(_annotation_names, st.sampled_from([*NUMBERS_AS_TEXT, honest.DIGEST, "x" * 5000]), max_size=2),
    st.sampled_from([None, {"example.org/x": 5}, [], "x"]),
)
_metadata_extras = {
    "annotations": _annotations,
    "labels": st.sampled_from([None, {}, {"a": "b"}, {"a": "²"}, {"a": 5}, {"": ""}, "x"]),
    "finalizers": st.sampled_from([[], ["example.org/keep"], ["x"], "x", [None]]),
    "ownerReferences": st.sampled_from(
        [[], [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}], [{}], "x"]
    ),
    "uid": st.sampled_from(["", "1", 5]),
    "resourceVersion": st.sampled_from(["", "1", "²", "-1"]),
    "generation": st.sampled_from([0, -1, 2**63 - 1, 2**64, "1"]),
    "creationTimestamp": st.sampled_from(["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "²", None, 0]),
    "deletionTimestamp": st.sampled_from(["1970-01-01T00:00:00Z", "²", None]),
}
_claim_names = mostly(
    st.just(_ANY_NAME), st.sampled_from([LONG, TOO_LONG, "h-1", "-h", "H", "a/b", "..", "²", "", None, 5])
)
_block_names = mostly(
    st.just(_ANY_NAME), st.sampled_from([*budgets.BLOCKS, *honest.BLOCKS, LONG, TOO_LONG, "B", "²", None])
)
_namespaces = mostly(st.just(builders.NAMESPACE), st.sampled_from(["elsewhere", "missing-namespace", "²", None]))


def _object(kind: str, names: Strategy, spec: Strategy) -> Strategy:
    """Return a strategy for new objects of a kind, some of which have no spec, or a status."""
    metadata = fields({"name": names, "namespace": _namespaces}, {"annotations": _annotations}) | fields(
        {"name": names, "namespace": _namespaces}, _metadata_extras
    )
    parts = {"metadata": metadata, "spec": mostly(spec, st.sampled_from(NOT_OBJECTS))}
    statuses = st.sampled_from([{}, {"state": "success"}, {"controllerEpoch": 2**31 - 2}, "x"])
    documents = mostly(fields(parts, {"status": statuses}), st.fixed_dictionaries({"metadata": metadata}))
    return st.builds(lambda document: Creation({"apiVersion": meta.API_VERSION, "kind": kind, **document}), documents)


_settle_after = mostly(
    st.builds(lambda seconds, at_ms: {"seconds": seconds, "time": at_ms}, counts, times),
    st.sampled_from([{"seconds": 1}, *NOT_OBJECTS]),
) | st.just({"seconds": 1, "time": 0})
_claim_extras = {
    "dataOpened": mostly(st.booleans(), st.sampled_from(["yes", None])),
    "priority": counts,
    "ownedBy": mostly(st.just([{"name": "x"}]), st.sampled_from([[{}] * (bounds.OWNERS + 1), [5], "x"])),
    "settleAfter": _settle_after,
    "privacyCard": mostly(st.just(f"sha256:{'3' * 64}"), st.sampled_from(["", "x", TOO_LONG, 5])),
    "unknown": texts,
}


def _claim_spec(requests: Strategy) -> Strategy:
    return fields({"requests": requests}, _claim_extras)


_dimension = fields({"attribute": attributes}, {"numericValue": decimals, "stringValue": texts})
_datasets = mostly(st.just("another"), st.sampled_from([*budgets.DATASETS, *honest.DATASETS, "", TOO_LONG, 5]))
_block_extras = {
    "dataSource": st.sampled_from(["file:///x", f"file:///{honest.BLOCKS[0]}", "", "x" * 2049, 5]),
    "dimensions": mostly(st.lists(_dimension, max_size=2), st.sampled_from(NOT_OBJECTS)),
    "releaseMode": mostly(st.sampled_from(["base", "flow"]), st.sampled_from(["", "x", 5])),
    "budgetReturnPolicy": mostly(st.sampled_from(["toPending", "toAvailable"]), st.sampled_from(["x", None])),
    "flowReleasingOption": fields({}, {"startTime": times, "endTime": times, "duration": times}),
    "unknown": texts,
}


def _block_spec(whole: Strategy) -> Strategy:
    return fields({"initialBudget": whole, "dataset": _datasets}, _block_extras)


def _set(path: str, value: object) -> list[Json]:
    return [{"op": "add", "path": path, "value": value}]


def _remove(path: str) -> Json:
    return {"op": "remove", "path": path}


_request_lists = request_list(st.one_of(ALLOCATES))
_any_spec = mostly(_claim_spec(_request_lists), st.sampled_from(NOT_OBJECTS))
_EDITS = (
    st.builds(_set, st.just("/spec/requests/-"), request),
    st.builds(_set, st.sampled_from(["/spec/requests/0", "/spec/requests"]), request | _request_lists),
    st.builds(_set, st.just("/spec/dataOpened"), st.sampled_from([True, False, None, "x"])),
    st.builds(_set, st.just("/spec/settleAfter"), _settle_after),
    st.builds(_set, st.just("/spec/privacyCard"), st.sampled_from([f"sha256:{'4' * 64}", "x"])),
    *(
        st.builds(_set, st.just(f"/metadata/{name}"), _metadata_extras[name])
        for name in ("annotations", "labels", "finalizers", "ownerReferences")
    ),
    st.builds(_set, st.just("/spec"), _any_spec),
    st.builds(lambda spec: [_remove("/spec"), *_set("/spec", spec)], _any_spec),
    st.sampled_from([[_remove("/spec")], [_remove("/spec/requests")]]),
)
_HELD = {f"{builders.NAMESPACE}/{budgets.BLOCKS[0]}": budgets.epsdel(9, 0)}
_status_edits = st.builds(
    _set,
    st.sampled_from(["/status", "/status/responses", "/status/acquiredBudgets"]),
    st.sampled_from([None, [], {}, _HELD]),
)
_ages = st.integers(0, 5)
_own_edits = [st.builds(Edit, _ages, edits) for edits in _EDITS]
_forbidden_edits = [
    st.builds(Edit, _ages, st.one_of(_EDITS), st.just(True)),
    st.builds(Edit, _ages, _status_edits, st.booleans(), st.just(True)),
]
_claims = [
    _object(claims.KIND, _claim_names, _claim_spec(requests))
    for requests in (*map(request_list, ALLOCATES), repeated_requests, st.lists(request, max_size=2))
]
_blocks = [_object(blocks.KIND, _block_names, _block_spec(whole)) for whole in (*budgets.payable, budgets.any_budget)]
_ATTACKS: list[st.SearchStrategy[Attack]] = [
    *_claims,
    *_own_edits,
    *_blocks,
    *_claims[: len(ALLOCATES)],
    *_forbidden_edits,
    st.builds(Removal, _ages),
]


def patched(document: Json, operations: Sequence[Json]) -> Json:
    """Return a document after the operations `add` and `remove` of RFC 6902.

    Raises:
        LookupError: a path does not exist.
        TypeError: likewise.
        ValueError: likewise.
    """
    for operation in operations:
        document = _changed(document, operation["path"].strip("/").split("/"), operation)
    return document


def _changed(value: Any, keys: Sequence[str], operation: Json) -> Any:
    key, *rest = keys
    if not isinstance(value, dict | list):
        raise TypeError(key)
    place: Any = key if isinstance(value, dict) else len(value) if key == "-" else int(key)
    copy: Any = value.copy()
    if rest:
        copy[place] = _changed(value[place], rest, operation)
    elif operation["op"] == "remove":
        del copy[place]
    elif isinstance(copy, list):
        copy.insert(place, operation["value"])
    else:
        copy[place] = operation["value"]
    return copy
