"""Records of a table as columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data import ragged
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.ragged import Int64s
from privatekube.data.tables.layout import Category, Layout, Number

INDEX = np.dtype("<i4")
_INT64 = np.dtype("<i8")


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts as token ids.

    Args:
        ids: int32 [sum of lengths], without padding.
        offsets: int64 [N + 1]; text i has ids[offsets[i]:offsets[i + 1]].
    """

    ids: npt.NDArray[np.int32]
    offsets: Int64s

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64s:
        """Number of tokens of each text, int64 [N]."""
        return np.diff(self.offsets)

    def select(self, chosen: npt.NDArray[np.bool_] | Int64s) -> Tokens:
        """Return the texts of a mask bool [N], or at indices int64 [M] in their order."""
        if chosen.dtype == np.bool_:
            return Tokens(self.ids[np.repeat(chosen, self.lengths)], ragged.offsets_of(self.lengths[chosen]))
        places, offsets = ragged.places(self.offsets, chosen.astype(np.int64, copy=False))
        return Tokens(self.ids[places], offsets)

    def cut(self, most: int) -> Tokens:
        """Return the texts, each cut at a length."""
        lengths = np.minimum(self.lengths, most)
        if lengths.sum() == len(self.ids):
            return self
        kept_and_not = np.stack([lengths, self.lengths - lengths], axis=1).reshape(-1)
        is_kept = np.repeat(np.tile([True, False], len(self)), kept_and_not)
        return Tokens(self.ids[is_kept], ragged.offsets_of(lengths))

    @staticmethod
    def concatenate(parts: Sequence[Tokens]) -> Tokens:
        """Return all texts of `parts`, in order."""
        lengths = [np.empty(0, np.int64), *(part.lengths for part in parts)]
        ids = [np.empty(0, INDEX), *(part.ids for part in parts)]
        return Tokens(np.concatenate(ids), ragged.offsets_of(np.concatenate(lengths)))


def dtype_of(kind: Number | Category) -> np.dtype[Any]:
    """Return the type of a column of one value a record, little-endian."""
    if isinstance(kind, Category):
        return INDEX
    return np.dtype("<f8") if kind.type == "number" else _INT64


@dataclass(frozen=True, eq=False)
class Table:
    """Columns over N records.

    Args:
        layout: what the columns are.
        user: int64 [N], keyed hash of the user's id.
        time: int64 [N], unix seconds; 0 where the layout has no time.
        values: features and label by column, each [N]: float64, int64, or int32 indices into the keys.
        texts: by column, N texts each.

    Raises:
        InvalidInput: columns that the layout does not have, or of unequal length.
    """

    layout: Layout
    user: Int64s
    time: Int64s
    values: Mapping[str, npt.NDArray[Any]]
    texts: Mapping[str, Tokens]

    def __post_init__(self) -> None:
        kinds = self.layout.kinds
        lengths = {len(self.time), *map(len, self.values.values()), *map(len, self.texts.values())}
        is_typed = all(self.values[name].dtype == dtype_of(kind) for name, kind in kinds.items() if name in self.values)
        if self.values.keys() != kinds.keys() or self.texts.keys() != self.layout.texts.keys() or not is_typed:
            raise errors.InvalidInput("table: its columns are not those of its layout; check what wrote them")
        if lengths != {len(self.user)}:
            raise errors.InvalidInput("table: its columns differ in length; check what wrote them")

    def __len__(self) -> int:
        return len(self.user)

    @property
    def day(self) -> Int64s:
        """Day of each record, int64 [N]; 2013-01-01 is 0."""
        return (self.time - FIRST_DAY_SECONDS) // SECONDS_PER_DAY

    @property
    def recognised_by(self) -> dict[str, Int64s]:
        """What another schema, order, unit or cut of the same table does not change: user, and time if it has one."""
        return {"user": self.user, "time": self.time} if self.layout.has_time else {"user": self.user}

    def contents(self) -> list[bytes]:
        """Return the bytes of each record; exact copies have the same."""
        columns = [self.user, self.time, *(self.values[name] for name in self.layout.kinds)]
        parts = [ragged.rows_of(columns)]
        for name in self.layout.texts:
            tokens = self.texts[name]
            parts += [ragged.rows_of([tokens.lengths]), ragged.bytes_of(tokens.ids, tokens.offsets)]
        return [b"".join(row) for row in zip(*parts, strict=True)]

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]) -> Table:
        """Return the records of a mask bool [N], or at indices int [M] in their order."""
        rows = np.arange(len(self))[chosen]
        values = {name: column[rows] for name, column in self.values.items()}
        texts = {name: tokens.select(rows) for name, tokens in self.texts.items()}
        return Table(self.layout, self.user[rows], self.time[rows], values, texts)

    @staticmethod
    def concatenate(layout: Layout, parts: Sequence[Table]) -> Table:
        """Return all records of `parts`, which have one layout, in order."""
        none = np.empty(0, _INT64)
        return Table(
            layout,
            np.concatenate([none, *(part.user for part in parts)]),
            np.concatenate([none, *(part.time for part in parts)]),
            {
                name: np.concatenate([np.empty(0, dtype_of(kind)), *(part.values[name] for part in parts)])
                for name, kind in layout.kinds.items()
            },
            {name: Tokens.concatenate([part.texts[name] for part in parts]) for name in layout.texts},
        )
