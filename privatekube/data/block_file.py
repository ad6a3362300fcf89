"""The block file: reviews and their public metadata in HDF5, with a digest of the content.

The digest is over the content, not over the file's bytes, so that another compression or HDF5 version is the same data.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import h5py
import numpy as np

from privatekube import errors
from privatekube.data import published_format
from privatekube.data.columns import (
    BOS,
    COLUMNS,
    EOS,
    FIRST_DAY_SECONDS,
    FIRST_WORD,
    PAD,
    SECONDS_PER_DAY,
    UNK,
    Reviews,
)
from privatekube.data.metadata import FORMAT, UNITS, Block, Metadata, content_digest, require_consistent
from privatekube.storage import local_files

__all__ = [
    "BOS",
    "EOS",
    "FIRST_DAY_SECONDS",
    "FIRST_WORD",
    "PAD",
    "SECONDS_PER_DAY",
    "UNITS",
    "UNK",
    "Block",
    "Metadata",
    "Reviews",
    "content_digest",
    "decode",
    "encode",
    "merge",
    "read",
    "read_privatekube",
    "require_bound",
    "write",
]

_GZIP_LEVEL = 4
_MOST_INFLATION = 1100
"""A gzip stream inflates by a factor of 1032 at most: a file that declares more data than that is not ours."""


def write(path: str | os.PathLike[str], reviews: Reviews, metadata: Metadata) -> str:
    """Write a block file in one step, in the place of one that is there, and return its digest.

    Raises:
        InvalidInput: the reviews contradict the metadata, or the disk is full; nothing is left behind.
    """
    data, digest = encode(reviews, metadata)
    local_files.write(path, data, overwrite=True)
    return digest


def read(path: str | os.PathLike[str], *, digest: str | None = None) -> Block:
    """Read a block file, ours or PrivateKube's, and check it.

    Args:
        path: a local file.
        digest: what the block's resource says about the content; None checks against the file's own statement only.

    Raises:
        CorruptData: missing, truncated, in another format, or of another content than the digest says.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise errors.CorruptData(f"block: {path} is missing; fetch it again") from error
    except OSError as error:
        raise local_files.translated(error, path) from error
    return decode(data, name=str(path), digest=digest)


def read_privatekube(path: str | os.PathLike[str], *, digest: str | None = None) -> Block:
    """Read a file of PrivateKube's published format, one block or merged.

    Raises:
        CorruptData: as `read`, and for a file of our own format.
    """
    found = read(path, digest=digest)
    if found.metadata.tokeniser != published_format.TOKENISER:
        raise errors.CorruptData(f"block: {path} is not in PrivateKube's published format; read it as a block file")
    return found


def encode(reviews: Reviews, metadata: Metadata) -> tuple[bytes, str]:
    """The bytes of a block file, and the digest of its content.

    Raises:
        InvalidInput: the reviews contradict the metadata.
    """
    require_consistent(reviews, metadata)
    digest = content_digest(reviews, metadata)
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["digest"] = digest
        for name, value in asdict(metadata).items():
            file.attrs[name] = json.dumps(value) if isinstance(value, tuple) else value
        for name, dtype in COLUMNS.items():
            column = getattr(reviews, name)
            options = {"compression": "gzip", "compression_opts": _GZIP_LEVEL, "shuffle": True} if len(column) else {}
            file.create_dataset(name, data=column, dtype=dtype, **options)
    return image.getvalue(), digest


def decode(data: bytes, *, name: str, digest: str | None = None) -> Block:
    """The content of a block file's bytes; see `read`.

    Args:
        data: the file.
        name: what to call the file in messages.
        digest: what the block's resource says about the content.
    """
    with _corrupt_when_unreadable(name), h5py.File(io.BytesIO(data), "r") as file:
        _require_plausible(file, len(data))
        stated = file.attrs.get("digest")
        found = _own(file) if file.attrs.get("format") == FORMAT else _published(file, name)
    for said in (digest, stated):
        if said is not None and said != found.digest:
            raise errors.CorruptData(
                f"block: {name} has digest {found.digest}, not {said}: altered, or another block; fetch it again"
            )
    return found


def merge(blocks: Sequence[Block]) -> Block:
    """One block with the reviews of all `blocks`, in their order.

    Several buckets become bucket 0 of 1, the days span those of all.

    Raises:
        InvalidInput: no blocks, or blocks that differ in dataset, vocabulary, tokeniser, unit, bound or categories.
    """
    if not blocks:
        raise errors.InvalidInput("blocks: none to merge; give at least one")
    metas = [each.metadata for each in blocks]
    first = metas[0]
    for each in metas:
        for name in (
            "dataset",
            "partition_key_id",
            "vocabulary_digest",
            "tokeniser",
            "unit",
            "max_contribution",
            "categories",
        ):
            mine, other = getattr(first, name), getattr(each, name)
            if mine != other:
                raise errors.InvalidInput(f"blocks: {name} differs: {mine!r} and {other!r}; merge blocks of one kind")
    same_bucket = len({(each.bucket, each.n_buckets) for each in metas}) == 1
    metadata = replace(
        first,
        start_day=min(each.start_day for each in metas),
        end_day=max(each.end_day for each in metas),
        bucket=first.bucket if same_bucket else 0,
        n_buckets=first.n_buckets if same_bucket else 1,
    )
    reviews = Reviews.concatenate([each.reviews for each in blocks])
    return Block(reviews, metadata, content_digest(reviews, metadata))


def require_bound(block: Block, *, unit: str, max_contribution: int) -> None:
    """Check that `block` is of the privacy unit and no unit has more reviews in it than allowed.

    Raises:
        CorruptData: another unit, or a unit with more reviews; which one is not said.
    """
    if block.metadata.unit != unit:
        raise errors.CorruptData(
            f"unit: the data was bounded per {block.metadata.unit}, not per {unit}; claim blocks of one unit"
        )
    if unit == "user-day":
        reviews = block.reviews
        most = max(Counter(zip(reviews.user.tolist(), reviews.day.tolist(), strict=True)).values(), default=0)
        if most > max_contribution:
            raise errors.CorruptData(
                f"max_contribution: a user has more than {max_contribution} reviews on one day; make the blocks anew"
            )


def _own(file: h5py.File) -> Block:
    values = {each.name: file.attrs[each.name] for each in fields(Metadata)}
    names = json.loads(values.pop("categories"))
    plain = {name: value if isinstance(value, str) else int(value) for name, value in values.items()}
    metadata = Metadata(**plain, categories=tuple(str(name) for name in names))  # type: ignore[arg-type]  # checked there
    reviews = Reviews(**{name: file[name][()] for name in COLUMNS})
    require_consistent(reviews, metadata)
    return Block(reviews, metadata, content_digest(reviews, metadata))


def _published(file: h5py.File, name: str) -> Block:
    datasets = {key: file[key] for key in file}
    fits = all(
        isinstance(each, h5py.Dataset)
        and each.ndim == 2
        and each.shape[1] == published_format.WIDTH
        and each.dtype == np.int32
        for each in datasets.values()
    )
    if not datasets or not fits:
        raise errors.CorruptData(
            f"block: {name} is neither a {FORMAT} file nor one of PrivateKube's published blocks; check the data source"
        )
    return published_format.block(name, {key: each[()] for key, each in datasets.items()})


def _require_plausible(file: h5py.File, size: int) -> None:
    declared = sum(each.nbytes for each in file.values() if isinstance(each, h5py.Dataset))
    if declared > _MOST_INFLATION * size:
        raise ValueError("declares more data than the file can hold")


@contextlib.contextmanager
def _corrupt_when_unreadable(name: str) -> Iterator[None]:
    """Whatever HDF5 or our own checks say about foreign bytes is one error; its text is not passed on."""
    try:
        yield
    except errors.CorruptData:
        raise
    except (errors.InvalidInput, OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise errors.CorruptData(f"block: {name} is truncated or altered; fetch it again") from error
