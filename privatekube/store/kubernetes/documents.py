"""Resources, ledger entries and records as objects of an API server, and back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from privatekube.resources import meta
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, Resource

CREATED = "privacy.columbia.github.com/created"
"""Annotation: when it was created, in nanoseconds, where this store did; creationTimestamp counts seconds only."""
FINALIZER = "privacy.columbia.github.com/record"
"""Keeps a block that is deleted until the control plane has recorded what was committed on its data."""


def checked(resource: Resource) -> Json:
    """A resource as JSON that can be read again.

    Raises:
        InvalidInput: it could not.
    """
    kinds.decode(kinds.kind(resource), 0, kinds.encode(resource))
    return document_of(resource)


def document_of(resource: Resource) -> Json:
    """A resource as the API server takes it."""
    document: Json = json.loads(kinds.encode(resource))
    document["metadata"].pop("creationTimestamp", None)  # the server's own, which it keeps
    return document


def kept(resource: R) -> R:
    """A block with the finalizer, unless it is being deleted; claims as they are."""
    there: list[str] = list(resource.meta.other.get("finalizers", ()))
    if not isinstance(resource, PrivateDataBlock) or FINALIZER in there or resource.meta.is_deleted:
        return resource
    other = {**resource.meta.other, "finalizers": [*there, FINALIZER]}
    return replace(resource, meta=replace(resource.meta, other=other))


def resource_of(kind: str, document: Json) -> Any:
    """The resource of that kind from the API server's JSON.

    Raises:
        InvalidInput: it cannot be read, with the path of what does not fit.
    """
    found = kinds.read(kind, document["metadata"]["resourceVersion"], document)
    created = found.meta.annotations.get(CREATED, "")
    if not created.isdigit():
        return found
    return replace(found, meta=replace(found.meta, creation_time_ms=int(created) // 1_000_000))


def age(resource: Resource) -> tuple[int, str, str]:
    """What resources are sorted by, oldest first."""
    created_ms = resource.meta.creation_time_ms or 0
    return created_ms, resource.meta.annotations.get(CREATED, ""), resource.id


def custom_object(kind: str, name: str, spec: Json) -> Json:
    """An object of a kind that has no namespace."""
    return {"apiVersion": meta.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def entry_name(sequence: int) -> str:
    """The name of the ledger entry at that place."""
    return f"entry-{sequence:012d}"


def entry_of(document: Json) -> Entry:
    """The ledger entry in an object."""
    spec = dict(document["spec"])
    digest = spec.pop("digest")
    return Entry.from_json(spec, digest)


def record_name(dataset: str, digest: str) -> str:
    """The name of the record of that data."""
    return hashlib.sha256(f"{dataset}\0{digest}".encode()).hexdigest()[:40]


def record_of(document: Json) -> RetiredData:
    """The record in an object."""
    spec = document["spec"]
    return RetiredData.from_json(spec["dataset"], spec["digest"], json.dumps(spec["record"]))
