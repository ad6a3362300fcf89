"""Records of people as columns: what cutting, bounding and recognising them needs, whatever kind of data they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


class Records(Protocol):
    """Columns over N records; `Reviews` and `tables.table.Table` are two kinds."""

    @property
    def user(self) -> Int64s:
        """Keyed hash of each record's user, int64 [N]."""

    @property
    def time(self) -> Int64s:
        """Unix seconds, int64 [N]."""

    @property
    def day(self) -> Int64s:
        """Day of each record, int64 [N]; 2013-01-01 is 0."""

    @property
    def recognised_by(self) -> Mapping[str, Int64s]:
        """The columns, each int64 [N], that another schema, tokeniser or cut of the same data does not change."""

    def __len__(self) -> int: ...

    def contents(self) -> list[bytes]:
        """Return the bytes of each record; exact copies have the same."""

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]) -> Self:
        """Return the records of a mask bool [N], or at indices int [M] in their order."""
