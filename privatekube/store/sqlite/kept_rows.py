"""The rows of a list, kept beside the objects that they are of, so that a list decodes nothing.

A row counts only with a checksum of itself and of the object: where somebody or a fault of the disk has changed either,
the object is decoded, and what is wrong with it is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

from privatekube import errors
from privatekube.resources.list_rows import ListRow
from privatekube.store.base import R
from privatekube.store.kinds import Kind
from privatekube.store.unreadable import Unreadable

CHECKSUM = "checksum_of"
"""The name of `checksum` in SQL."""
INTACT_ROW = f"iif(checksum = {CHECKSUM}(CAST(body AS BLOB), CAST(list_row AS BLOB)), list_row, NULL)"
"""The row of an object in SQL, or NULL."""


def checksum(body: bytes, row: bytes | None) -> bytes | None:
    """Return the checksum of an object and of its row; None where none is kept."""
    return None if row is None else hashlib.sha256(b"%d:%b%b" % (len(body), body, row)).digest()


def stored_form(kind: Kind[R], resource: R) -> tuple[str, str | None, bytes | None]:
    """Return an object as it is stored: as text, its row as text, and the checksum of both.

    An object of which no row can be made, as one with budgets of two accountings, is kept without.
    """
    return with_row(kind, resource, kind.encode(resource))


def with_row(kind: Kind[R], resource: R, body: str) -> tuple[str, str | None, bytes | None]:
    """Return the same of an object whose text is known."""
    with contextlib.suppress(errors.InvalidInput):
        row = json.dumps(kind.row_type.of(resource), separators=(",", ":"))
        return body, row, checksum(body.encode(), row.encode())
    return body, None, None


def of_stored(kind: Kind[Any], body: str, version: int) -> tuple[str | None, bytes | None]:
    """Return the row of an object that is stored, and the checksum; None for both where the object cannot be read."""
    try:
        resource = kind.decode(body, version)
    except errors.InvalidInput:
        return None, None
    return with_row(kind, resource, body)[1:]


def row_or_fault(kind: Kind[R], resource: R | Unreadable | None) -> ListRow | Unreadable | None:
    """Return the row of what was read, or why it has none."""
    if resource is None or isinstance(resource, Unreadable):
        return resource
    try:
        row: ListRow = kind.row_type.of(resource)
    except errors.InvalidInput as error:
        return Unreadable(errors.ResourceName(kind.name, resource.id), kind.encode(resource), error)
    return row


def read(kind: Kind[Any], text: str) -> ListRow:
    """Return the row in a text."""
    row: ListRow = kind.row_type(*json.loads(text))
    return row
