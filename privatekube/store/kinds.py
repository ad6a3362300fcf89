"""Resources as rows of tables: the tables, and a row's kind, JSON, and whether a pass has to look at it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.wire import blocks, claims
from privatekube.store.base import R, Resource

BLOCK, CLAIM = "block", "claim"


def kind(resource: Resource) -> str:
    """The kind of a resource."""
    return BLOCK if isinstance(resource, PrivateDataBlock) else CLAIM


def is_open(resource: Resource) -> bool:
    """Whether a claim has an unanswered request, or holds budget and a time to settle; blocks always count."""
    return isinstance(resource, PrivateDataBlock) or resource.is_waiting or resource.is_settled_when_overdue


def encode(resource: Resource) -> str:
    """A resource as JSON, in its wire form."""
    wire = blocks.to_wire(resource) if isinstance(resource, PrivateDataBlock) else claims.to_wire(resource)
    return json.dumps(wire, separators=(",", ":"))


def decode(kind_: str, version: int | str, body: str) -> Any:
    """The resource of that kind from its JSON.

    Raises:
        InvalidInput: it cannot be one, with the path of what does not fit.
    """
    return read(kind_, version, json.loads(body))


def read(kind_: str, version: int | str, document: object) -> Any:
    """The same from its parsed JSON."""
    from_wire = {BLOCK: blocks.from_wire, CLAIM: claims.from_store}[kind_]
    return versioned(from_wire(document), version)  # type: ignore[type-var]  # by kind


def versioned(resource: R, version: int | str) -> R:
    """The resource as of that write."""
    return replace(resource, meta=replace(resource.meta, resource_version=str(version)))
