"""Compute the identity of records: a sketch of their hashes under the data owner's key, see `data_identity`."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from privatekube.data import ragged
from privatekube.data.records import Records
from privatekube.resources.data_identity import DataIdentity, DaySketch

MOST_ENTRIES_A_DAY, MOST_ENTRIES = 1024, 2**15
"""Bounds of a sketch, for its size: 11 bytes an entry as text, so 11 kB a day and 350 kB as a whole.

With 1,024 entries, two data sets are told apart where one has at most 128 times as many records as the other, or where
neither has more than 1,024 of a day.
"""


HashesByDay = Mapping[int, npt.NDArray[np.uint64]]
"""The smallest record hashes of each day that has records, ascending and distinct; one more than a sketch has."""


def identify(records: Records, *, key: bytes, partition_key_id: str, covers_all_users: bool = True) -> DataIdentity:
    """Return the identity of the records of a slice; see `hashes_by_day` and `identity`."""
    hashes = hashes_by_day(records, key=key)
    return identity([hashes], key=key, partition_key_id=partition_key_id, covers_all_users=covers_all_users)


def hashes_by_day(records: Records, *, key: bytes) -> HashesByDay:
    """Return what the identity of a slice needs of some of its records.

    A record is what it is recognised by: a review its user, product and time. That is not changed by another tokeniser,
    list of categories, schema, dataset name, order, unit or cut. Copies of one count once.

    Args:
        records: all of some buckets of users, before contributions are bounded.
        key: of the data owner.
    """
    hashes, days = _hashes(records, key), records.day
    order = np.lexsort((hashes, days))
    hashes, days = hashes[order], days[order]
    is_first = (np.diff(days, prepend=np.nan) != 0) | (np.diff(hashes, prepend=np.uint64(0)) != 0)
    hashes, days = hashes[is_first], days[is_first]
    begins = np.flatnonzero(np.diff(days, prepend=np.nan) != 0)
    most = _most(len(begins)) + 1
    by_day = zip(days[begins].tolist(), np.split(hashes, begins[1:]), strict=True) if len(days) else ()
    return {day: of_day[:most] for day, of_day in by_day}


def identity(
    parts: Sequence[HashesByDay], *, key: bytes, partition_key_id: str, covers_all_users: bool = True
) -> DataIdentity:
    """Return the identity of the records of a slice.

    Args:
        parts: the record hashes of each bucket of users.
        key: of the data owner.
        partition_key_id: name of the public key that users are hashed with; for records that are recognised by other
            columns than reviews, with the names of these.
        covers_all_users: False if these are the records of one bucket of users, which somebody else cut.
    """
    hashes = union(parts)
    by_day = {day: _sketch(of_day, _most(len(hashes))) for day, of_day in hashes.items()}
    key_id = hashlib.blake2b(b"id of the key", key=key, digest_size=8).hexdigest()
    return DataIdentity(secrets.token_hex(16), key_id, partition_key_id, by_day, covers_all_users)


def union(parts: Sequence[HashesByDay]) -> HashesByDay:
    """Return what the identity of a slice needs of some of its buckets together."""
    days = sorted(set().union(*parts))
    none = np.empty(0, np.uint64)
    most = _most(len(days)) + 1
    return {day: np.unique(np.concatenate([part.get(day, none) for part in parts]))[:most] for day in days}


def _most(n_days: int) -> int:
    return max(1, min(MOST_ENTRIES_A_DAY, MOST_ENTRIES // max(1, n_days)))


def rows_of(columns: Iterable[npt.NDArray[np.int64]]) -> list[bytes]:
    """Return the rows of some columns, each int64 [N], as bytes."""
    return ragged.rows_of([column.astype("<i8") for column in columns])


def _sketch(hashes: npt.NDArray[np.uint64], most: int) -> DaySketch:
    """Return the sketch of a day whose hashes are ascending and distinct."""
    smallest = hashes[: most + 1].tolist()
    return DaySketch(tuple(smallest)) if len(smallest) <= most else DaySketch(tuple(smallest[:most]), smallest[most])


def _hashes(records: Records, key: bytes) -> npt.NDArray[np.uint64]:
    """Return a 64-bit keyed hash of each record, uint64 [N]."""
    rows = rows_of(records.recognised_by.values())
    return ragged.hashes_of(rows, hashlib.blake2b(key=key, digest_size=8)).view("<u8")
