"""Some records of a file of a table, and what to read of the file.

Messages quote neither values nor headers: in a file without a header, that is a person's record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privatekube import errors


@dataclass(frozen=True, eq=False)
class Batch:
    """Some records of a file.

    Args:
        columns: by name in the file, the same number of values each; null where the file has no such column.
        size: how many records they are.
        not_text: bool [N] of columns of text, where the value of JSON is of another type.
        is_typed: whether the file declares the types of its columns.
        damaged: how many further records cannot be read at all.
        has_trailing_garbage: whether something that is not gzip follows the compressed data.
        fields: names of columns that a file of JSON lines, which has no header, was seen to have.
    """

    columns: Mapping[str, pa.Array]
    size: int
    not_text: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    is_typed: bool = False
    damaged: int = 0
    has_trailing_garbage: bool = False
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True)
class WantedColumn:
    """A column to read.

    Args:
        names: that it may have in a file.
        is_text: whether it is of text, so that a number of JSON is not a value of it.
        is_optional: whether a file may lack it.
    """

    names: tuple[str, ...]
    is_text: bool = False
    is_optional: bool = False

    def __str__(self) -> str:
        return " or ".join(map(repr, self.names))


@dataclass(frozen=True)
class Wanted:
    """What to read of a file.

    Args:
        location: what to call the file in messages.
        columns: the columns.
        format: how the file is written; None for what its ending says.
    """

    location: str
    columns: tuple[WantedColumn, ...]
    format: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(name for column in self.columns for name in column.names)


def with_absent(present: Mapping[str, pa.Array], size: int, wanted: Wanted) -> dict[str, pa.Array]:
    """Return the columns that were read, and null for each that the file does not have."""
    return {name: present.get(name, pa.nulls(size)) for name in wanted.names}


def require_columns(wanted: Wanted, header: Sequence[str], *, remark: str = "") -> None:
    """Refuse a file that lacks a column, or has it twice.

    Args:
        wanted: what to read.
        header: the names that the file has.
        remark: what else to say of a file that lacks one.

    Raises:
        InvalidInput: it does.
    """
    for column in wanted.columns:
        counts = [header.count(name) for name in column.names]
        if max(counts) > 1 or (max(counts) < 1 and not column.is_optional):
            is_absent = max(counts) < 1
            place = f"is absent from {wanted.location}{remark}" if is_absent else f"is there twice in {wanted.location}"
            raise errors.InvalidInput(f"schema: column {column} {place}; correct the schema or the header")
