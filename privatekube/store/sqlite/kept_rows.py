"""The rows of a list, kept beside the objects that they are of, so that a list decodes nothing.

A row counts only with a checksum of itself and of the object: where somebody or a fault of the disk has changed either,
the object is decoded, and what is wrong with it is told.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from privatekube.resources.list_rows import ListRow
from privatekube.store.base import R
from privatekube.store.kinds import Kind

CHECKSUM = "checksum_of"
"""The name of `checksum` in SQL."""
INTACT_ROW = f"iif(checksum = {CHECKSUM}(CAST(body AS BLOB), CAST(list_row AS BLOB)), list_row, NULL)"
"""The row of an object in SQL, or NULL."""


def checksum(body: bytes, row: bytes | None) -> bytes | None:
    """Return the checksum of an object and of its row; None where none is kept."""
    return None if row is None else hashlib.sha256(b"%d:%b%b" % (len(body), body, row)).digest()


def stored_form(kind: Kind[R], resource: R) -> tuple[str, str, bytes | None]:
    """Return an object as it is stored: as text, its row as text, and the checksum of both."""
    return with_row(kind, resource, kind.encode(resource))


def with_row(kind: Kind[R], resource: R, body: str) -> tuple[str, str, bytes | None]:
    """Return the same of an object whose text is known."""
    row = json.dumps(kind.row_type.of(resource), separators=(",", ":"))
    return body, row, checksum(body.encode(), row.encode())


def read(kind: Kind[Any], text: str) -> ListRow:
    """Return the row in a text."""
    row: ListRow = kind.row_type(*json.loads(text))
    return row
