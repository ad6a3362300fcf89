"""Records of a table as its schema declares them, before their texts are cut into tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privatekube.data import ragged
from privatekube.data.ragged import Int64s

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
        location: of the file.
    """

    user: Int64s
    time: Int64s
    values: Mapping[str, npt.NDArray[Any]]
    texts: Mapping[str, Sequence[str]]
    record: Mapping[str, Int64s]
    location: str

    def __len__(self) -> int:
        return len(self.user)

    def select(self, chosen: Int64s) -> Rows:
        """Return the records at some indices."""
        return Rows(
            self.user[chosen],
            self.time[chosen],
            {name: column[chosen] for name, column in self.values.items()},
            {name: [column[row] for row in chosen.tolist()] for name, column in self.texts.items()},
            {name: column[chosen] for name, column in self.record.items()},
            self.location,
        )

    def hashes(self) -> npt.NDArray[Any]:
        """Return a hash of each record, 16 bytes [N]; exact copies have the same, also in another file."""
        lengths = [np.array([len(text) for text in texts], np.int64) for texts in self.texts.values()]
        columns = [self.user, self.time, *self.values.values(), *self.record.values(), *lengths]
        rows = ragged.rows_of(columns)
        texts = zip(*self.texts.values(), strict=True) if self.texts else iter([()] * len(self))
        contents = (row + "".join(text).encode() for row, text in zip(rows, texts, strict=True))
        return ragged.hashes_of(contents, _HASH)
