"""Many blocks as one on disk: a folder with a file for each column, so that data larger than memory can be read.

    <folder>/000.npy, 001.npy, ...   the columns of a block file, in its order, with the records of all blocks
    <folder>/manifest.json           what is public about them, which blocks they are, the digests of the columns

The manifest is written last: a folder without it is not complete. The folder is private, its manifest too, since it has
digests of people's data: its owner alone can read it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic

from privatekube import errors
from privatekube.data import any_block, block_file, column_files, sealed_file
from privatekube.data.any_block import AnyBlock
from privatekube.data.columns import Reviews
from privatekube.data.metadata import FORMAT, Block
from privatekube.data.tables import block_file as table_file
from privatekube.data.tables.block_file import TableBlock
from privatekube.storage import local_files, private_files

MANIFEST = "manifest.json"


class Manifest(pydantic.BaseModel):
    """What a folder holds.

    Args:
        format: name and version of the format of the blocks.
        public: the attributes of a block file of all records.
        source: the id of each block, in their order, and the digest that its resource states.
        columns: the digest of each column.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    format: str
    public: dict[str, str | int]
    source: dict[str, str | None]
    columns: dict[str, str]


@dataclass(frozen=True, eq=False)
class StoredReviews(Reviews):
    """Reviews on disk; another process that is given them reads the same files.

    Args:
        folder: where they are. They were checked when they were written.
    """

    folder: Path

    def excerpt(self, rows: npt.NDArray[np.int64]) -> tuple[Reviews, npt.NDArray[np.int64]]:
        """Return these reviews and rows as they are."""
        return self, rows

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped_reviews, (self.folder, list(_manifest(self.folder).columns))

    def _fault(self) -> str | None:
        return None


def write(folder: Path, blocks: Iterable[AnyBlock], *, source: Mapping[str, str | None]) -> AnyBlock:
    """Write the records of blocks one after the other, and return what is public about all of them.

    Args:
        folder: a new one.
        blocks: at least one; each can be forgotten when the next one is taken.
        source: the id of each block, and the digest that its resource states.

    Raises:
        InvalidInput: blocks of several kinds, see `any_block.require_one_kind`, or the disk is full.
    """
    rest = iter(blocks)
    first = next(rest)
    dtypes = {name: column.dtype for name, column in first.content.columns.items()}
    with _translated(folder):
        private_files.make_folder(folder)
        with column_files.created(folder, dtypes) as files:
            declared = [_append(files, block, first) for block in itertools.chain([first], rest)]
            digests = {name: file.finish() for name, file in files.items()}
    merged = any_block.merge(declared)
    public = {name: sealed_file.attribute(value) for name, value in merged.content.metadata.items()}
    manifest = Manifest(format=merged.content.format, public=public, source=dict(source), columns=digests)
    private_files.write(folder / MANIFEST, manifest.model_dump_json().encode())
    return merged


def _append(files: Mapping[str, column_files.ColumnFile], block: AnyBlock, first: AnyBlock) -> AnyBlock:
    any_block.require_one_kind([first, block])
    for name, values in block.content.columns.items():
        files[name].append(values)
    return any_block.declared(block)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise local_files.translation(error, folder) from error


def read(folder: Path, *, source: Mapping[str, str | None] | None = None) -> AnyBlock:
    """Return the blocks of a folder as one, whose columns are read from disk where they are used.

    Args:
        folder: what `write` has written.
        source: which blocks they must be; None for any.

    Raises:
        CorruptData: it is not complete, was altered, or holds other blocks.
    """
    try:
        manifest = _manifest(folder)
        files = column_files.names(manifest.columns)
        is_whole = all(column_files.digest(folder / files[name]) == digest for name, digest in manifest.columns.items())
        block = _block(folder, manifest) if is_whole else None
    except (OSError, ValueError, KeyError, TypeError, errors.InvalidInput) as error:
        raise errors.CorruptData(f"data: {folder} is not complete or was altered; start a new run") from error
    if block is None or (source is not None and manifest.source != dict(source)):
        raise errors.CorruptData(f"data: {folder} was altered, or is of other blocks; start a new run")
    return block


def read_reviews(folder: Path, *, source: Mapping[str, str | None] | None = None) -> Block:
    """Return the blocks as `read` does; CorruptData if they are not of reviews."""
    block = read(folder, source=source)
    if not isinstance(block, Block):
        raise errors.CorruptData("blocks: are of a table, not of reviews; claim another dataset")
    return block


def _manifest(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / MANIFEST).read_bytes())


def _block(folder: Path, manifest: Manifest) -> AnyBlock:
    digest = f"sha256:{hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()}"
    if manifest.format == FORMAT:
        reviews = _mapped_reviews(folder, list(manifest.columns))
        return Block(reviews, block_file.metadata_of(manifest.public), digest)
    sealed = sealed_file.Sealed(manifest.public, _mapped(folder, list(manifest.columns)), None, None)
    return TableBlock(table_file.table_of(sealed), table_file.cut_of(sealed), digest)


def _mapped_reviews(folder: Path, columns: list[str]) -> StoredReviews:
    return StoredReviews(**_mapped(folder, columns), folder=folder)


def _mapped(folder: Path, columns: list[str]) -> dict[str, npt.NDArray[Any]]:
    files = column_files.names(dict.fromkeys(columns))
    return {name: column_files.mapped(folder / file) for name, file in files.items()}
