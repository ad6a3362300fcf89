"""Records of a table as its schema declares them: as they are read, and with their texts cut into tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privatekube.data import ragged
from privatekube.data.ragged import Int64s
from privatekube.data.tables import strings
from privatekube.data.tables.layout import Category
from privatekube.data.tables.schema import Schema
from privatekube.data.tables.table import INDEX, Tokens, dtype_of

_HASH = hashlib.blake2b(digest_size=16)


@dataclass(frozen=True, eq=False)
class Rows:
    """Some records of one file, by the columns of the schema.

    Args:
        user: keyed hash of each user's id, int64 [N].
        time: unix seconds, int64 [N]; 0 without times.
        values: features and label, [N] each, by column.
        texts: N plain texts each, by column.
        record: keyed hashes of the further ids, int64 [N] each, by column.
    """

    user: Int64s
    time: Int64s
    values: Mapping[str, npt.NDArray[Any]]
    texts: Mapping[str, pa.LargeStringArray]
    record: Mapping[str, Int64s]

    def __len__(self) -> int:
        return len(self.user)

    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return a hash of each record, uint64 [N, 2]; exact copies have the same, also in another file."""
        texts = self.texts.values()
        lengths = [pc.binary_length(text).to_numpy() for text in texts]
        columns = [self.user, self.time, *self.values.values(), *self.record.values(), *lengths]
        contents = strings.views(strings.joined(strings.of_rows(columns), *texts))
        return ragged.hashes_of(contents, _HASH).view(np.uint64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Some records with their texts as tokens.

    Args:
        user: keyed hash of each user's id, int64 [N].
        time: unix seconds, int64 [N]; 0 without times.
        file: number of each one's file, int32 [N].
        values: features and label, [N] each, by column.
        record: keyed hashes of the further ids, int64 [N] each, by column.
        texts: N texts each, by column.
        hashes: of all that was read of a record, uint64 [N, 2]: exact copies have the same, also in another file.
    """

    user: Int64s
    time: Int64s
    file: npt.NDArray[np.int32]
    values: Mapping[str, npt.NDArray[Any]]
    record: Mapping[str, Int64s]
    texts: Mapping[str, Tokens]
    hashes: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.user)

    @property
    def nbytes(self) -> int:
        """How many bytes the columns have."""
        columns: list[npt.NDArray[Any]] = [self.user, self.time, self.file, self.hashes]
        columns += [*self.values.values(), *self.record.values()]
        columns += [column for text in self.texts.values() for column in (text.ids, text.offsets)]
        return sum(column.nbytes for column in columns)

    def select(self, chosen: npt.NDArray[np.bool_] | Int64s) -> Encoded:
        """Return the records of a mask bool [N], or at indices int64 [M] in their order."""
        return Encoded(
            self.user[chosen],
            self.time[chosen],
            self.file[chosen],
            {name: column[chosen] for name, column in self.values.items()},
            {name: column[chosen] for name, column in self.record.items()},
            {name: tokens.select(chosen) for name, tokens in self.texts.items()},
            self.hashes[chosen],
        )

    def without_copies(self) -> Encoded:
        """Return the first one of all records that are exact copies of each other, in their order."""
        order = np.argsort(self.hashes[:, 0])
        is_equal = np.diff(self.hashes[order, 0]) == 0  # few records are: to sort by the whole hashes takes longer
        alike = np.unique(np.concatenate([order[1:][is_equal], order[:-1][is_equal]]))
        ordered = alike[np.lexsort(self.hashes[alike].T)]
        is_copy = np.zeros(len(self), np.bool_)
        is_copy[ordered[1:]] = (self.hashes[ordered[1:]] == self.hashes[ordered[:-1]]).all(axis=1)
        return self.select(~is_copy) if is_copy.any() else self

    @staticmethod
    def concatenate(parts: Sequence[Encoded]) -> Encoded:
        """Return all records of `parts`, of which there is at least one, in order."""
        first = parts[0]
        return Encoded(
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.file for part in parts]),
            {name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
            {name: np.concatenate([part.record[name] for part in parts]) for name in first.record},
            {name: Tokens.concatenate([part.texts[name] for part in parts]) for name in first.texts},
            np.concatenate([part.hashes for part in parts]),
        )


def none_of(schema: Schema) -> Encoded:
    """Return no records of a table."""
    label = {} if schema.label is None else {schema.label.column: Category(type="category", keys=schema.label.keys)}
    none, no_tokens = np.empty(0, np.int64), Tokens(np.empty(0, INDEX), np.zeros(1, np.int64))
    return Encoded(
        none,
        none,
        np.empty(0, np.int32),
        {name: np.empty(0, dtype_of(kind)) for name, kind in (schema.features | label).items()},
        dict.fromkeys(schema.record, none),
        dict.fromkeys(schema.text, no_tokens),
        np.empty((0, 2), np.uint64),
    )
