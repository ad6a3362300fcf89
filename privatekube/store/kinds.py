"""The kinds of resources that a store keeps, as objects: their names, and their form as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, cast

from privatekube import errors
from privatekube.errors import ResourceKind
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.resources.wire import blocks, claims
from privatekube.resources.wire.common import Json
from privatekube.store.base import R, Resource


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[R]):
    """One kind of resource.

    Args:
        name: in messages, in log fields, and in the tables of the SQLite store.
        plural: in the URLs of the Kubernetes API.
        api_kind: the `kind` of its JSON documents.
        resource_type: the class of its objects.
        row_type: the class of their rows in a list.
        from_wire: reads a stored document; raises InvalidInput with the path of what does not fit.
        to_wire: writes one.

    >>> str(BLOCK.name), BLOCK.plural, BLOCK.api_kind
    ('block', 'privatedatablocks', 'PrivateDataBlock')
    """

    name: ResourceKind
    plural: str
    api_kind: str
    resource_type: type[R]
    row_type: type[Any]
    from_wire: Callable[[object], R]
    to_wire: Callable[[R], Json]

    def __str__(self) -> str:
        return self.name

    def read(self, document: object, version: int | str) -> R:
        """Return the resource in a parsed JSON document, as of `version`.

        Raises:
            InvalidInput: it cannot be read, whatever is wrong with it; the message has the path of what does not fit.
        """
        try:
            return at_version(self.from_wire(document), version)
        except errors.InvalidInput:
            raise
        except Exception as error:  # one object must never stop the work on all others
            raise errors.InvalidInput(f"{self}: cannot be read ({error!r}); correct it, or delete it") from error

    def decode(self, body: str, version: int | str) -> R:
        """Return the resource in a JSON text, as of `version`.

        Raises:
            InvalidInput: it cannot be read; the message says why.
        """
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise errors.InvalidInput(f"{self}: is not JSON ({error}); restore a backup") from error
        return self.read(document, version)

    def encode(self, resource: R) -> str:
        """Return a resource as JSON text."""
        return json.dumps(self.to_wire(resource), separators=(",", ":"))


BLOCK = Kind(
    name=ResourceKind.BLOCK,
    plural="privatedatablocks",
    api_kind=blocks.KIND,
    resource_type=PrivateDataBlock,
    row_type=BlockRow,
    from_wire=blocks.from_wire,
    to_wire=blocks.to_wire,
)
CLAIM = Kind(
    name=ResourceKind.CLAIM,
    plural="privacybudgetclaims",
    api_kind=claims.KIND,
    resource_type=PrivacyBudgetClaim,
    row_type=ClaimRow,
    from_wire=claims.from_store,
    to_wire=claims.to_wire,
)
KINDS: tuple[Kind[Any], ...] = (BLOCK, CLAIM)


def kind_of(resource: R) -> Kind[R]:
    """Return the kind of a resource."""
    return cast("Kind[R]", next(kind for kind in KINDS if isinstance(resource, kind.resource_type)))


def require_readable(resource: Resource) -> None:
    """Check that a resource can be read again once it is written.

    Raises:
        InvalidInput: it cannot; the message has the path of what does not fit.
    """
    kind: Kind[Any] = kind_of(resource)
    kind.decode(kind.encode(resource), 0)


def name_of(resource: Resource) -> errors.ResourceName:
    """Return the kind and the id of a resource."""
    kind: Kind[Any] = kind_of(resource)
    return errors.ResourceName(kind.name, resource.id)


def is_open(resource: Resource) -> bool:
    """Return whether a pass has to look at a resource: every block, and each open claim."""
    return isinstance(resource, PrivateDataBlock) or resource.is_open


def at_version(resource: R, version: int | str) -> R:
    """Return the resource with that resource_version."""
    return replace(resource, meta=replace(resource.meta, resource_version=str(version)))
