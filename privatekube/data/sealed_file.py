"""The file of a block: columns and public metadata in HDF5, with a random key and a digest of the content under it.

The digest is over the content, not over the file's bytes, so that another compression or HDF5 version is the same data.
Who has the file can check the digest; who has only the digest cannot test a guess of the data, see `commitment`. What
the columns are, the format says: `block_file` for reviews, `tables.block_file` for tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from privatekube import errors

COMMITMENT = "hmac-sha256:"
"""How the text form of a digest under a key begins."""

_FORMAT, _DIGEST, _KEY = "format", "digest", "digest_key"
_KEY_BYTES = 32
_CHUNK_VALUES = 1 << 16
"""How many values are compressed together."""
_MOST_INFLATION = 1100
"""A gzip stream grows by a factor of 1032 at most: a file that declares more data than that is not a block file."""


@dataclass(frozen=True, eq=False)
class Content:
    """What a block file holds.

    Args:
        format: name and version of the format.
        metadata: public values by name: text, whole numbers, or what JSON can hold of those.
        columns: little-endian arrays [N] by name, in the order of the digest; `a/b` is in the group `a`.
    """

    format: str
    metadata: Mapping[str, Any]
    columns: Mapping[str, npt.NDArray[Any]]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over names, types, shapes and bytes of the columns, and the metadata.

        Keep it with the data: anyone who reads it can test guesses of the data against it.
        """
        header = {
            "format": self.format,
            "metadata": self.metadata,
            "columns": [[name, column.dtype.str, list(column.shape)] for name, column in self.columns.items()],
        }
        digest = hashlib.sha256(json.dumps(header, sort_keys=True, ensure_ascii=True).encode() + b"\n")
        for column in self.columns.values():
            digest.update(np.ascontiguousarray(column).data)
        return f"sha256:{digest.hexdigest()}"


@dataclass(frozen=True, eq=False)
class Sealed:
    """A block file as it was read; nothing of it is checked yet but its size.

    Args:
        attributes: the public values, as HDF5 has them: what is neither text nor a number is JSON.
        columns: arrays by name.
        key: of the digest; None in a file of an earlier version.
        digest: what the file states about its content.
    """

    attributes: Mapping[str, Any]
    columns: Mapping[str, npt.NDArray[Any]]
    key: bytes | None
    digest: str | None

    def digest_of(self, content: Content) -> str:
        """Return the digest of this file if it has that content."""
        return content.digest if self.key is None else commitment(self.key, content.digest)


def commitment(key: bytes, content: str) -> str:
    """Return the digest by which a block states its data in public: `hmac-sha256:<hex>` of the content's digest.

    It is binding: who has the file, and so the key in it, can check that it holds what was stated. It is hiding: who
    has only the resource, a Grant or a privacy card lacks the key, and cannot test a guess of the data against it.

    Args:
        key: random, of 32 bytes, in the block file and nowhere else.
        content: the digest of the content.
    """
    return f"{COMMITMENT}{hmac.digest(key, content.encode(), 'sha256').hex()}"


def encode(content: Content) -> tuple[bytes, str]:
    """Return the bytes of a file with a new random key, and the digest of its content under that key."""
    key = secrets.token_bytes(_KEY_BYTES)
    digest = commitment(key, content.digest)
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs.update({_FORMAT: content.format, _DIGEST: digest, _KEY: key.hex()})
        for name, value in content.metadata.items():
            file.attrs[name] = attribute(value)
        for name, column in content.columns.items():
            _write(file, name, column)
    return image.getvalue(), digest


def _write(file: h5py.File, name: str, column: npt.NDArray[Any]) -> None:
    """Write a column as HDF5's filters shuffle and gzip would, in less time: most columns are hashes and tokens.

    Of those, the first bytes of all values are compressed, then the second ones, and so on, and zlib looks for nothing
    but repetitions of one byte: there is little else, and looking for it takes longer than all the rest.
    """
    if not len(column):
        file.create_dataset(name, data=column)
        return
    n_values = min(len(column), _CHUNK_VALUES)
    filters = {"chunks": (n_values,), "shuffle": True, "compression": "gzip", "compression_opts": 1}
    dataset = file.create_dataset(name, column.shape, column.dtype, **filters)
    for start in range(0, len(column), n_values):
        chunk = np.zeros(n_values, column.dtype)  # HDF5 stores the last one in full, too
        chunk[: len(column) - start] = column[start : start + n_values]
        shuffled = chunk.view(np.uint8).reshape(n_values, -1).T.tobytes()
        compressor = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
        dataset.id.write_direct_chunk((start,), compressor.compress(shuffled) + compressor.flush())


@contextlib.contextmanager
def opened(data: bytes, *, name: str) -> Iterator[h5py.File]:
    """Open the bytes of an HDF5 file.

    Every error of HDF5 and of the checks meanwhile becomes one, without its text, which may quote the data.

    Args:
        data: the file.
        name: what to call it in messages.

    Raises:
        CorruptData: it is not HDF5, or declares more data than it can hold.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            _require_plausible(file, len(data))
            yield file
    except errors.CorruptData:
        raise
    except (errors.InvalidInput, OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise errors.CorruptData(f"block: {name} is truncated or altered; fetch it again") from error


def format_of(file: h5py.File) -> str | None:
    """Return the format that a file states; None for one that no version of this project wrote."""
    stated = file.attrs.get(_FORMAT)
    return stated if isinstance(stated, str) else None


def sealed(file: h5py.File) -> Sealed:
    """Return what is in a file that states a format."""
    attributes = dict(file.attrs)
    for name in (_FORMAT, _DIGEST, _KEY):
        attributes.pop(name, None)
    key = file.attrs.get(_KEY)
    columns = {name: dataset[()] for name, dataset in _datasets(file).items()}
    return Sealed(attributes, columns, None if key is None else bytes.fromhex(key), stated_digest(file))


def stated_digest(file: h5py.File) -> str | None:
    """Return the digest that a file states about its content."""
    stated = file.attrs.get(_DIGEST)
    return None if stated is None else str(stated)


def require_digest(name: str, known: set[str], *expected: str | None) -> None:
    """Check what is expected of the digest of a file.

    Args:
        name: what to call the file in messages.
        known: the digests of its content, with and without its key.
        expected: what is stated elsewhere; None where nothing is.

    Raises:
        CorruptData: another digest is expected.
    """
    for digest in expected:
        if digest is not None and digest not in known:
            raise errors.CorruptData(
                f"block: {name} does not have the digest {digest}: altered, or another block; fetch it again"
            )


def attribute(value: object) -> str | int:
    """Return a public value as HDF5 can store it."""
    if isinstance(value, str):
        return str(value)  # HDF5 does not know enums
    return value if isinstance(value, int) else json.dumps(value)


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    datasets: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            datasets[name] = item

    file.visititems(visit)
    return datasets


def _require_plausible(file: h5py.File, size: int) -> None:
    if sum(dataset.nbytes for dataset in _datasets(file).values()) > _MOST_INFLATION * size:
        raise ValueError("declares more data than the file can hold")
