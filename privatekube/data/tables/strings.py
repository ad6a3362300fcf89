"""Texts as one Arrow array, so that what is done to all of them is done without a Python object for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privatekube.data import ragged
from privatekube.data.ragged import Int64s

TEXT = pa.large_string()
"""The type of texts; with offsets of 64 bits, so that many long ones are one array."""


def of(texts: Sequence[str | None]) -> pa.LargeStringArray:
    """Return texts as an array."""
    return pa.array(texts, TEXT)


def changed(texts: pa.LargeStringArray, chosen: pa.BooleanArray, change: Callable[[str], str]) -> pa.LargeStringArray:
    """Return texts with the chosen ones changed.

    >>> changed(of(["a", "é"]), pa.array([False, True]), str.upper).to_pylist()
    ['a', 'É']
    """
    some = [change(text) for text in texts.filter(chosen).to_pylist()]
    return pc.replace_with_mask(texts, chosen, of(some)) if some else texts


def joined(*parts: pa.Array | str) -> pa.LargeBinaryArray:
    """Return the bytes of the parts of each row, one after the other.

    >>> joined(of(["a", "b"]), "-").to_pylist()
    [b'a-', b'b-']
    """
    kind = pa.large_binary()
    whole = [pa.scalar(part.encode(), kind) if isinstance(part, str) else part.cast(kind) for part in parts]
    return pc.binary_join_element_wise(*whole, pa.scalar(b"", kind))


def layout(array: pa.Array) -> tuple[Int64s, memoryview]:
    """Return where each value begins and the last one ends, int64 [N + 1], and the bytes of all, of large values."""
    if not len(array):
        return np.zeros(1, np.int64), memoryview(b"")
    _, offsets, data = array.buffers()
    found = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return found, memoryview(data or b"")


def views(array: pa.Array) -> Iterator[memoryview]:
    """Yield the bytes of each of some large values."""
    offsets, data = layout(array)
    return (data[start:end] for start, end in itertools.pairwise(offsets.tolist()))


def of_rows(columns: Sequence[npt.NDArray[Any]]) -> pa.FixedSizeBinaryArray:
    """Return the bytes of each row of some columns, [N] each."""
    rows = ragged.matrix_of(columns)
    return pa.Array.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(rows)])
