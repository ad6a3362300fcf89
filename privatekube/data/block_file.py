"""The block file of reviews: their columns and public metadata in a sealed file, see `sealed_file`.

Files of earlier versions, and PrivateKube's, have no key: their digest is a plain one, and is still checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from privatekube import errors
from privatekube.data import partition, published_format, sealed_file
from privatekube.data.columns import COLUMNS, Reviews
from privatekube.data.metadata import FORMAT, Block, Metadata, content, content_digest, require_consistent
from privatekube.privacy.unit import PrivacyUnit
from privatekube.storage import local_files, private_files

__all__ = [
    "Block",
    "Metadata",
    "decode",
    "encode",
    "merge",
    "read",
    "read_privatekube",
    "require_bound",
    "write",
]

_OF_ONE_KIND = (
    "dataset",
    "partition_key_id",
    "vocabulary_digest",
    "tokeniser",
    "unit",
    "max_contribution",
    "categories",
)
"""What blocks that are merged have in common."""


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
    return sealed_file.encode(content(reviews, metadata))


def decode(data: bytes, *, name: str, digest: str | None = None) -> Block:
    """Read a block file from its bytes; see `read`.

    Args:
        data: the file.
        name: what to call the file in messages.
        digest: what the block's resource states about the content.
    """
    with sealed_file.opened(data, name=name) as file:
        form = sealed_file.format_of(file)
        if form not in {None, FORMAT}:
            remedy = "claim blocks of reviews, or read it with privatekube.read_block"
            raise errors.CorruptData(f"block: {name} is a {form} file, not one of reviews; {remedy}")
        is_own = form == FORMAT
        block = _own_format(sealed_file.sealed(file)) if is_own else _published_format(file, name)
        stated = sealed_file.stated_digest(file)
    known = {block.digest, content_digest(block.reviews, block.metadata)}  # the plain one is of an earlier version
    sealed_file.require_digest(name, known, digest, stated)
    return block


def require_one_kind(metas: Sequence[Metadata]) -> None:
    """Check by what is declared of blocks that they can be merged.

    Raises:
        InvalidInput: no blocks, or blocks that differ in dataset, vocabulary, tokeniser, unit, bound or categories, or
            in their days where the unit is a user over all days.
    """
    if not metas:
        raise errors.InvalidInput("blocks: none to merge; give at least one")
    partition.require_one_range(metas[0].unit, [(meta.start_day, meta.end_day) for meta in metas])
    for other in metas:
        for name in _OF_ONE_KIND:
            values = getattr(metas[0], name), getattr(other, name)
            if values[0] != values[1]:
                raise errors.InvalidInput(
                    f"blocks: {name} differs: {values[0]} and {values[1]}; merge blocks of one kind"
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
    partition.require_bound(block.reviews, unit=unit, max_contribution=max_contribution)


def metadata_of(attributes: Mapping[str, Any]) -> Metadata:
    """Return what the attributes of a block file declare; KeyError, TypeError or ValueError if they do not."""
    values = {field.name: attributes[field.name] for field in fields(Metadata)}
    names = json.loads(values.pop("categories"))
    unit = PrivacyUnit.parse(values.pop("unit"))
    plain = {name: value if isinstance(value, str) else int(value) for name, value in values.items()}
    return Metadata(**plain, unit=unit, categories=tuple(str(name) for name in names))  # type: ignore[arg-type]  # checked there


def _own_format(sealed: sealed_file.Sealed) -> Block:
    metadata = metadata_of(sealed.attributes)
    reviews = Reviews(**{name: sealed.columns[name] for name in COLUMNS})
    require_consistent(reviews, metadata)
    return Block(reviews, metadata, sealed.digest_of(content(reviews, metadata)))


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
