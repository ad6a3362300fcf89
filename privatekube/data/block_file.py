"""The block file: reviews and their public metadata in HDF5, with a random key and a digest of the content under it.

The digest is over the content, not over the file's bytes, so that another compression or HDF5 version is the same data.
Who has the file can check the digest; who has only the digest cannot test a guess of the data, see `commitment`.
Files of earlier versions, and PrivateKube's, have no key: their digest is a plain one, and is still checked.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import h5py
import numpy as np

from privatekube import errors
from privatekube.data import partition, published_format
from privatekube.data.columns import COLUMNS, Reviews
from privatekube.data.metadata import FORMAT, Block, Metadata, commitment, content_digest, require_consistent
from privatekube.privacy.unit import PrivacyUnit
from privatekube.storage import local_files, private_files

__all__ = [
    "Block",
    "Metadata",
    "decode",
    "encode",
    "is_copy",
    "merge",
    "read",
    "read_privatekube",
    "require_bound",
    "write",
]

_KEY = "digest_key"
_KEY_BYTES = 32
_GZIP_LEVEL = 4
_OF_ONE_KIND = (
    *("dataset", "partition_key_id", "vocabulary_digest", "tokeniser", "unit", "max_contribution", "categories"),
)
"""What blocks that are merged have in common."""

_MOST_INFLATION = 1100
"""A gzip stream grows by a factor of 1032 at most: a file that declares more data than that is not a block file."""


def write(path: str | os.PathLike[str], reviews: Reviews, metadata: Metadata) -> str:
    """Write a block file that its owner alone can read, in place of one that is there; return its content's digest.

    Raises:
        InvalidInput: the reviews contradict the metadata, or the disk is full; then nothing is written.
    """
    data, digest = encode(reviews, metadata)
    private_files.write(Path(path), data)
    return digest


def read(path: str | os.PathLike[str], *, digest: str | None = None) -> Block:
    """Read a block file, ours or PrivateKube's, and check it.

    Args:
        path: a local file.
        digest: what the block's resource states about the content; None for the file's own statement alone.

    Raises:
        CorruptData: missing, truncated, in another format, or of another content than the digest says.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise errors.CorruptData(f"block: {path} is missing; fetch it again") from error
    except OSError as error:
        raise local_files.translation(error, path) from error
    return decode(data, name=str(path), digest=digest)


def read_privatekube(path: str | os.PathLike[str], *, digest: str | None = None) -> Block:
    """Read a file of PrivateKube's published format, one block or merged.

    Raises:
        CorruptData: as `read`, and for a file of this project's own format.
    """
    block = read(path, digest=digest)
    if block.metadata.tokeniser != published_format.TOKENISER:
        raise errors.CorruptData(f"block: {path} is not in PrivateKube's published format; read it as a block file")
    return block


def encode(reviews: Reviews, metadata: Metadata) -> tuple[bytes, str]:
    """Return the bytes of a block file with a new random key, and the digest of its content under that key.

    Raises:
        InvalidInput: the reviews contradict the metadata.
    """
    require_consistent(reviews, metadata)
    key = secrets.token_bytes(_KEY_BYTES)
    digest = commitment(key, content_digest(reviews, metadata))
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["digest"] = digest
        file.attrs[_KEY] = key.hex()
        for name, value in asdict(metadata).items():
            file.attrs[name] = _attribute(value)
        for name, dtype in COLUMNS.items():
            column = getattr(reviews, name)
            options = {"compression": "gzip", "compression_opts": _GZIP_LEVEL, "shuffle": True} if len(column) else {}
            file.create_dataset(name, data=column, dtype=dtype, **options)
    return image.getvalue(), digest


def decode(data: bytes, *, name: str, digest: str | None = None) -> Block:
    """Read a block file from its bytes; see `read`.

    Args:
        data: the file.
        name: what to call the file in messages.
        digest: what the block's resource states about the content.
    """
    with _corrupt_when_unreadable(name), h5py.File(io.BytesIO(data), "r") as file:
        _require_plausible(file, len(data))
        stated = file.attrs.get("digest")
        block = _own_format(file) if file.attrs.get("format") == FORMAT else _published_format(file, name)
        known = {block.digest, content_digest(block.reviews, block.metadata)}  # the plain one is of an earlier version
    for expected in (digest, stated):
        if expected is not None and expected not in known:
            raise errors.CorruptData(
                f"block: {name} does not have the digest {expected}: altered, or another block; fetch it again"
            )
    return block


def is_copy(block: Block, reviews: Reviews, metadata: Metadata) -> bool:
    """Return whether a block file that was read has exactly these reviews and this metadata."""
    return content_digest(block.reviews, block.metadata) == content_digest(reviews, metadata)


def require_one_kind(metas: Sequence[Metadata]) -> None:
    """Check by what is declared of blocks that they can be merged.

    Raises:
        InvalidInput: no blocks, or blocks that differ in dataset, vocabulary, tokeniser, unit, bound or categories, or
            in their days where the unit is a user over all days.
    """
    if not metas:
        raise errors.InvalidInput("blocks: none to merge; give at least one")
    if metas[0].unit is PrivacyUnit.USER and len({(meta.start_day, meta.end_day) for meta in metas}) > 1:
        raise errors.InvalidInput("blocks: their days differ, so a user may be in several; merge blocks of one range")
    for other in metas:
        for name in _OF_ONE_KIND:
            values = getattr(metas[0], name), getattr(other, name)
            if values[0] != values[1]:
                raise errors.InvalidInput(
                    f"blocks: {name} differs: {values[0]!r} and {values[1]!r}; merge blocks of one kind"
                )


def merge(blocks: Sequence[Block]) -> Block:
    """Return one block with the reviews of all `blocks`, in their order.

    Several buckets become bucket 0 of 1; the days span those of all blocks.

    Raises:
        InvalidInput: no blocks, or blocks that differ in dataset, vocabulary, tokeniser, unit, bound or categories.
    """
    metas = [block.metadata for block in blocks]
    require_one_kind(metas)
    first = metas[0]
    same_bucket = len({(meta.bucket, meta.n_buckets) for meta in metas}) == 1
    metadata = replace(
        first,
        start_day=min(meta.start_day for meta in metas),
        end_day=max(meta.end_day for meta in metas),
        bucket=first.bucket if same_bucket else 0,
        n_buckets=first.n_buckets if same_bucket else 1,
    )
    reviews = Reviews.concatenate([block.reviews for block in blocks])
    return Block(reviews, metadata, content_digest(reviews, metadata))


def require_bound(block: Block, *, unit: PrivacyUnit, max_contribution: int) -> None:
    """Check that `block` is of the privacy unit, and that no unit has more reviews in it than allowed.

    Raises:
        CorruptData: another unit, or a unit with more reviews; the message does not say which one.
    """
    if block.metadata.unit != unit:
        raise errors.CorruptData(
            f"unit: the data was bounded per {block.metadata.unit}, not per {unit}; claim blocks of one unit"
        )
    most = np.bincount(partition.unit_numbers(block.reviews, unit)).max(initial=0)
    if not unit.is_one_record and most > max_contribution:
        raise errors.CorruptData(
            f"max_contribution: a {unit} has more reviews than {max_contribution}; make the blocks again"
        )


def _attribute(value: str | int | tuple[str, ...]) -> str | int:
    """Return a field of the metadata as HDF5 can store it."""
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value) if isinstance(value, str) else value  # HDF5 does not know enums


def _own_format(file: h5py.File) -> Block:
    values = {field.name: file.attrs[field.name] for field in fields(Metadata)}
    names = json.loads(values.pop("categories"))
    unit = PrivacyUnit.parse(values.pop("unit"))
    plain = {name: value if isinstance(value, str) else int(value) for name, value in values.items()}
    metadata = Metadata(**plain, unit=unit, categories=tuple(str(name) for name in names))  # type: ignore[arg-type]  # checked there
    reviews = Reviews(**{name: file[name][()] for name in COLUMNS})
    require_consistent(reviews, metadata)
    digest = content_digest(reviews, metadata)
    key = file.attrs.get(_KEY)
    return Block(reviews, metadata, digest if key is None else commitment(bytes.fromhex(key), digest))


def _published_format(file: h5py.File, name: str) -> Block:
    datasets = {key: file[key] for key in file}
    fits = all(
        isinstance(dataset, h5py.Dataset)
        and dataset.ndim == 2
        and dataset.shape[1] == published_format.WIDTH
        and dataset.dtype == np.int32
        for dataset in datasets.values()
    )
    if not datasets or not fits:
        raise errors.CorruptData(
            f"block: {name} is neither a {FORMAT} file nor one of PrivateKube's published blocks; check the data source"
        )
    return published_format.block(name, {key: dataset[()] for key, dataset in datasets.items()})


def _require_plausible(file: h5py.File, size: int) -> None:
    declared = sum(dataset.nbytes for dataset in file.values() if isinstance(dataset, h5py.Dataset))
    if declared > _MOST_INFLATION * size:
        raise ValueError("declares more data than the file can hold")


@contextlib.contextmanager
def _corrupt_when_unreadable(name: str) -> Iterator[None]:
    """Translate every error of HDF5 and of the checks into one, without their text, which may quote the data."""
    try:
        yield
    except errors.CorruptData:
        raise
    except (errors.InvalidInput, OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise errors.CorruptData(f"block: {name} is truncated or altered; fetch it again") from error
