"""Conversion of resources, ledger entries and records to the JSON objects of an API server, and back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, Resource
from privatekube.store.kinds import Kind
from privatekube.store.unreadable import Unreadable

CREATED = "privacy.columbia.github.com/created"
"""Annotation: the creator's time of creation in nanoseconds, of 20 digits.

It orders objects of the same second, in which the server's creationTimestamp is; it says nothing else, because any user
may have written it by any clock.
"""
_NANOSECONDS = re.compile(r"[0-9]{20}")
FINALIZER = "privacy.columbia.github.com/record"
"""Finalizer: keeps a deleted block until the control plane has recorded what was committed on its data."""


def checked_document(resource: Resource) -> Json:
    """Return a resource as JSON, after checking that it can be read again.

    Raises:
        InvalidInput: it cannot; the message has the path of what does not fit.
    """
    kinds.require_readable(resource)
    return document_of(resource)


def document_of(resource: Resource) -> Json:
    """Return a resource as the JSON that the API server accepts."""
    kind: Kind[Any] = kinds.kind_of(resource)
    document = kind.to_wire(resource)
    document["metadata"].pop("creationTimestamp", None)  # belongs to the server
    return document


def with_finalizer(resource: R) -> R:
    """Return a block with the finalizer, unless it is being deleted; a claim is returned unchanged."""
    finalizers: list[str] = list(resource.meta.other.get("finalizers", ()))
    if not isinstance(resource, PrivateDataBlock) or FINALIZER in finalizers or resource.meta.is_deleted:
        return resource
    other = {**resource.meta.other, "finalizers": [*finalizers, FINALIZER]}
    return replace(resource, meta=replace(resource.meta, other=other))


def resource_of(kind: Kind[R], document: Json) -> R:
    """Return the resource in the API server's JSON.

    Raises:
        InvalidInput: it cannot be read, whatever is wrong with it; the message has the path of what does not fit.
    """
    return kind.read(document, document["metadata"]["resourceVersion"])


def read(kind: Kind[R], document: Json) -> R | Unreadable:
    """Return the resource in the API server's JSON, or why it cannot be read."""
    try:
        return resource_of(kind, document)
    except errors.InvalidInput as error:
        return Unreadable(errors.ResourceName(kind.name, id_of(document)), json.dumps(document), error)


def id_of(document: Json) -> str:
    """Return the id of an object, `namespace/name`."""
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


def creation_order(resource: Resource) -> tuple[int, str, str]:
    """Return the key that sorts resources by age, oldest first."""
    created = resource.meta.annotations.get(CREATED, "")
    within_second = created if _NANOSECONDS.fullmatch(created) else ""
    return resource.meta.creation_time_ms or 0, within_second, resource.id


def custom_object(kind: str, name: str, spec: Json) -> Json:
    """Return an object of a kind that has no namespace."""
    return {"apiVersion": meta.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def record_name(dataset: str, digest: str) -> str:
    """Return the name of the record of deleted data."""
    return hashlib.sha256(f"{dataset}\0{digest}".encode()).hexdigest()[:40]


def record_of(document: Json) -> RetiredData:
    """Return the record in an object.

    Raises:
        CorruptData: it is malformed.
    """
    with spec_of(document) as spec:
        return RetiredData.from_json(spec["dataset"], spec["digest"], json.dumps(spec["record"]))


def identity_of(document: Json) -> DataIdentity:
    """Return the identity of data in an object.

    Raises:
        CorruptData: it is malformed.
    """
    with spec_of(document) as spec:
        return DataIdentity.from_json(document["metadata"]["name"], spec)


@contextlib.contextmanager
def spec_of(document: Json) -> Iterator[Json]:
    """Give the spec of an object of a kind without a namespace; what is missing in it makes the object corrupt."""
    try:
        yield document["spec"]
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{document['kind']} {document['metadata']['name']}"
        raise errors.CorruptData(f"{what}: cannot be read; restore a backup") from error
