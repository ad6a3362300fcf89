"""Lists of different lengths as one array: row i has `values[offsets[i] : offsets[i + 1]]`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


class Hash(Protocol):
    """A hash of hashlib that has not been given anything yet."""

    @property
    def digest_size(self) -> int:
        """Bytes of a digest."""

    def copy(self) -> Self:
        """Return another of the same kind and key."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Hash further bytes."""

    def digest(self) -> bytes:
        """Return the hash."""


def offsets_of(lengths: npt.NDArray[np.integer[Any]]) -> Int64s:
    """Return where each row begins and the last one ends, int64 [N + 1].

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def interleaved(lists: Sequence[tuple[npt.NDArray[Any], Int64s]]) -> tuple[npt.NDArray[Any], Int64s]:
    """Return the first rows of some lists one after the other, then their second rows, and so on, each as one row.

    >>> lists = [(np.array([1, 2, 3]), np.array([0, 2, 3])), (np.array([7, 8]), np.array([0, 0, 2]))]
    >>> values, offsets = interleaved(lists)
    >>> values.tolist(), offsets.tolist()
    ([1, 2, 3, 7, 8], [0, 2, 5])
    """
    starts = offsets_of(np.stack([np.diff(offsets) for _, offsets in lists], axis=1).reshape(-1))
    values = np.concatenate([items for items, _ in lists])
    for number, (items, offsets) in enumerate(lists):
        begins = starts[number :: len(lists)][: len(offsets) - 1]
        values[np.arange(len(items)) + np.repeat(begins - offsets[:-1], np.diff(offsets))] = items
    return values, starts[:: len(lists)]


def matrix_of(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Return the bytes of some columns, [N] each, row by row, uint8 [N, bytes of a row]."""
    return np.concatenate([np.ascontiguousarray(column)[:, None].view(np.uint8) for column in columns], axis=1)


def rows_of(columns: Sequence[npt.NDArray[Any]]) -> list[bytes]:
    r"""Return the bytes of each row of some columns, [N] each.

    >>> rows_of([np.array([1, 2], "<i2"), np.array([7, 8], "<i1")])
    [b'\x01\x00\x07', b'\x02\x00\x08']
    """
    rows = matrix_of(columns)
    width, joined = rows.shape[1], rows.tobytes()
    return [joined[start : start + width] for start in range(0, len(joined), width)]


def bytes_of(values: npt.NDArray[Any], offsets: Int64s) -> list[bytes]:
    """Return the bytes of each list."""
    joined, ends = values.tobytes(), (offsets * values.itemsize).tolist()
    return [joined[start:end] for start, end in itertools.pairwise(ends)]


def places(offsets: Int64s, rows: npt.NDArray[np.integer[Any]]) -> tuple[Int64s, Int64s]:
    """Return where the values of some rows are, in the order of the rows, and their new offsets.

    >>> found, offsets = places(np.array([0, 2, 2, 5]), np.array([2, 0]))
    >>> found.tolist(), offsets.tolist()
    ([2, 3, 4, 0, 1], [0, 3, 5])
    """
    lengths = offsets[rows + 1] - offsets[rows]
    selected = offsets_of(lengths)
    return np.arange(selected[-1]) + np.repeat(offsets[rows] - selected[:-1], lengths), selected


def hashes_of(items: Iterable[bytes | memoryview], empty: Hash) -> npt.NDArray[Any]:
    """Return the hash of each of some bytes, as fixed-width bytes [N].

    Args:
        items: what to hash.
        empty: a hash of nothing; copying it takes a third of the time of making one with a key.
    """
    digests = []
    for item in items:
        hashed = empty.copy()
        hashed.update(item)
        digests.append(hashed.digest())
    return np.frombuffer(b"".join(digests), f"V{empty.digest_size}")
