"""Columns of numbers on disk: each is a `.npy` file, written piece by piece and mapped into memory when it is read."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from privatekube.storage import private_files

_HEADER_BYTES = 128
"""Of a `.npy` file of one dimension: numpy leaves room for any length."""


class ColumnFile:
    """A column that grows; its owner alone can read it.

    Args:
        path: of the file.
        dtype: of the values, little-endian.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        private_files.create(path)
        self._file: BinaryIO = path.open("wb")
        self._dtype, self._length, self._hash = dtype, 0, hashlib.sha256()
        self._write_header()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write further values."""
        data = np.ascontiguousarray(values, dtype=self._dtype).data
        self._file.write(data)
        self._hash.update(data)
        self._length += len(values)

    def finish(self) -> str:
        """Write the length, have the file survive a power cut, and return the digest of its header and values."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        return _digest(self._header(), self._hash)

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()

    def _write_header(self) -> None:
        self._file.write(self._header())

    def _header(self) -> bytes:
        header = io.BytesIO()
        shape = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        npy.write_array_header_1_0(header, shape)
        return header.getvalue()


class OffsetsFile(ColumnFile):
    """A column that says where each list of another column begins, and the last one ends; see `ragged`."""

    _end = 0

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write where further lists end, which are behind those before."""
        super().append(self._end + (values if not self._length else values[1:]))
        self._end += int(values[-1])


@contextmanager
def created(folder: Path, dtypes: Mapping[str, np.dtype[Any]]) -> Iterator[dict[str, ColumnFile]]:
    """Yield a new file in a folder for each column, which is closed with the block."""
    with ExitStack() as stack:
        files = {name: _kind(name)(folder / file, dtypes[name]) for name, file in names(dtypes).items()}
        for file in files.values():
            stack.callback(file.close)
        yield files


def _kind(column: str) -> type[ColumnFile]:
    is_offsets = column == "offsets" or (column.startswith("text/") and column.endswith("/offsets"))
    return OffsetsFile if is_offsets else ColumnFile


def names(columns: Mapping[str, object]) -> dict[str, str]:
    """Return the name of the file of each column: a column of a table may have any name.

    >>> names({"user": 1, "values/a..b": 2})
    {'user': '000.npy', 'values/a..b': '001.npy'}
    """
    return {column: f"{number:03d}.npy" for number, column in enumerate(columns)}


def digest(path: Path) -> str:
    """Return the digest of a column, as `ColumnFile.finish` does, reading it in pieces."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        return _digest(header, hashlib.file_digest(file, "sha256"))


def _digest(header: bytes, values: Any) -> str:
    """Return one digest of a header, which is known last, and of the values behind it."""
    return hashlib.sha256(header + values.digest()).hexdigest()


def mapped(path: Path) -> npt.NDArray[Any]:
    """Return a column that is read from disk where it is used; it cannot be written."""
    return np.asarray(np.load(path, mmap_mode="r"))
