"""Whether a file has rows of the data: as they are, compressed, in an archive, or in the columns of an HDF5 file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

_HDF5, _ROWS = b"\x89HDF\r\n\x1a\n", 16


def marks(block: Path) -> list[bytes]:
    """Return bytes that tell the rows of a block's file: some of its users and of its words in their order."""
    with h5py.File(block) as file:
        columns = [np.asarray(file[name]) for name in ("user", "tokens")]
    return [column[:_ROWS].astype(kind).tobytes() for column in columns for kind in (np.int32, np.int64)]


def has_any(path: Path, needles: Sequence[bytes]) -> bool:
    """Whether a file has any of these bytes."""
    return is_any_in(path.read_bytes(), needles)


def is_any_in(data: bytes, needles: Sequence[bytes]) -> bool:
    """Whether the content of a file has any of these bytes."""
    return any(needle in content for content in _contents(data) for needle in needles)


def _contents(data: bytes) -> Iterator[bytes]:
    yield data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from _contents(archive.read(name))
    for kind in (zlib.MAX_WBITS, zlib.MAX_WBITS | 16, -zlib.MAX_WBITS):
        try:
            yield zlib.decompress(data, kind)
        except zlib.error:
            continue
    if _HDF5 in data:
        with h5py.File(io.BytesIO(data[data.index(_HDF5) :])) as file:
            found: list[h5py.Dataset] = []
            file.visititems(lambda _name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
            for dataset in found:
                values = np.asarray(dataset)
                if values.dtype.kind in "iu":
                    yield from (values.astype(kind).tobytes() for kind in (np.int32, np.int64))
